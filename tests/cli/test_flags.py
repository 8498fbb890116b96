"""How flags are declared, and how a command receives them."""

from __future__ import annotations

from typing import Any

import typer
from typer.testing import CliRunner

from inkwash.cli.asking import FIELDS
from inkwash.cli.flags import of, own, panel, takes
from inkwash.core.parameters import PARAMETERS

WITHOUT_A_FLAG = {
    "prompt": "an argument of the commands",
    "init_image": "likewise: PICTURE, and --from of sweep and words",
    "vae_tiles.enabled": "--vae-tile and --vae-fast switch it on",
    "vae_tiles.encoder_tile": "--vae-tile sets both, 8 pixels a latent one",
    "sd_upscale.enabled": "--sd-upscale says how many times",
}
GROUP = panel("Group", of("seed", "--seed", "-s"), "hires.scale", own("as_json", bool, False, "An object.", "--json"))


def test_every_field_has_a_flag_or_a_reason() -> None:
    assert {parameter.name for parameter in PARAMETERS} - set(FIELDS.values()) == set(WITHOUT_A_FLAG)


def test_a_field_s_flag_is_as_the_table_has_it() -> None:
    seed, scale, _ = GROUP
    assert (seed.name, seed.kind, seed.default, seed.field) == ("seed", int, -1, "seed")
    assert (scale.name, scale.kind, scale.default, scale.options) == ("hires_scale", float, 2.0, ("--hires-scale",))
    assert of("eta").kind == float | None  # the sampler decides
    assert of("cfg_scale", "--cfg", default=None, help="Likewise.").kind == float | None


def test_a_command_receives_by_name_what_it_has_a_parameter_for() -> None:
    got: list[Any] = []

    @takes(GROUP)
    def command(words: str, *, seed: int, **flags: Any) -> None:
        got.append((words, seed, flags))

    app = typer.Typer()
    app.command()(command)
    answer = CliRunner().invoke(app, ["cat", "-s", "7", "--json"])
    assert answer.exit_code == 0, answer.output
    assert got == [("cat", 7, {"hires_scale": 2.0, "as_json": True})]
