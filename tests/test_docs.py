"""Every flag, setting and variable is told of in both languages."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from inkwash.cli.app import app
from inkwash.core import choices, naming
from inkwash.core.limits import Limits
from inkwash.core.server_table import ServerTable
from inkwash.core.settings import Memory

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "zh")


def page(language: str, name: str) -> str:
    return (ROOT / "docs" / language / f"{name}.md").read_text(encoding="utf-8")


def flags(command: str) -> set[str]:
    group = typer.main.get_command(app)
    options = group.commands[command].params  # type: ignore[attr-defined]
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_flag_of_txt2img_is_told(language: str) -> None:
    text = page(language, "txt2img")
    assert {flag for flag in flags("txt2img") - {"--help"} if f"`{flag}`" not in text} == set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("command", ["img2img", "inpaint", "outpaint", "refine", "sweep", "words"])
def test_every_flag_of_the_other_drawing_commands_is_told(language: str, command: str) -> None:
    text = page(language, "edit") + page(language, "txt2img")
    assert f"./inkwash {command} " in text
    assert {flag for flag in flags(command) - {"--help"} if f"`{flag}`" not in text} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_flag_of_upscale_is_told(language: str) -> None:
    text = page(language, "upscalers")
    assert "./inkwash upscale " in text
    assert {flag for flag in flags("upscale") - {"--help"} if f"`{flag}`" not in text} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_flag_of_enlarge_is_told(language: str) -> None:
    text = page(language, "enlarge") + page(language, "txt2img")
    assert {flag for flag in flags("enlarge") - {"--help"} if f"`{flag}`" not in text} == set()
    names = (*choices.TILE_METHODS, *choices.REGION_BLENDS, *choices.PICTURE_UPSCALERS)
    assert [name for name in names if f"`{name}`" not in page(language, "enlarge")] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_upscaler_resize_mode_and_fill_is_told(language: str) -> None:
    text = page(language, "edit") + page(language, "txt2img")
    names = (*choices.UPSCALERS, *choices.RESIZE_MODES, *choices.INPAINTING_FILLS)
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sampler_and_schedule_is_told(language: str) -> None:
    listed = set(re.findall(r"[^,，、。.:：\n]+", page(language, "txt2img").replace("\n", " ")))
    listed = {name.strip() for name in listed}
    assert set(choices.SAMPLERS) | set(choices.SCHEDULES) <= listed


def _shown(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else rf"{value:g}\b"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_and_name_field_is_told(language: str) -> None:
    text = page(language, "files")
    assert [field.name for field in fields(Limits) if not re.search(rf"^{field.name} = ", text, re.MULTILINE)] == []
    assert [field for field in naming.FIELDS if f"`[{field}]`" not in text] == []
    for field in fields(Limits):
        assert re.search(rf"^{field.name} = {getattr(Limits(), field.name)}\b", text, re.MULTILINE)
    for field in fields(Memory):
        assert re.search(rf"^{field.name} = {_shown(getattr(Memory(), field.name))}", text, re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_of_the_server_is_told(language: str) -> None:
    text = page(language, "service")
    told = tomllib.loads(text.split("```toml")[1].split("```")[0])["server"]
    defaults = {field.name: getattr(ServerTable(), field.name) for field in fields(ServerTable)}
    assert told == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    for flag in (flags("serve") | flags("webui")) - {"--help", "--browser"}:
        assert flag in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_variable_is_told(language: str) -> None:
    sources = [ROOT / "inkwash", *(ROOT / "tools").rglob("*"), *(ROOT / "src").rglob("*.py")]
    code = "".join(path.read_text(encoding="utf-8", errors="replace") for path in sources if path.is_file())
    used = set(re.findall(r"INKWASH_[A-Z_]*[A-Z]", code)) - {"INKWASH_QUICK_KEY"}
    assert {name for name in used if name not in page(language, "install")} == set()


@pytest.mark.parametrize("path", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
