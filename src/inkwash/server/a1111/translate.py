"""A1111's txt2img and img2img -> a GenerateRequest, the account's options and its own overrides under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkwash.core import choices, infotext
from inkwash.core.choices import SAMPLERS, SCHEDULES, nearest, split_sampler
from inkwash.core.errors import InvalidRequest
from inkwash.core.limits import TILES_RANGES
from inkwash.core.request import GenerateRequest, VaeTiles
from inkwash.server.a1111 import edits, tiles
from inkwash.server.a1111.option_table import ACTING, EDITING, FACES, OPTIONS
from inkwash.server.a1111.schema import Drawing, Img2Img, Txt2Img
from inkwash.server.errors import Refusal

TILED_VAE = "tiled vae"
TILED_VAE_ARGS = (
    "enabled", "encoder_tile_size", "decoder_tile_size", "vae_to_gpu", "fast_decoder", "fast_encoder", "color_fix"
)  # fmt: skip
AUTOMATIC = "Automatic"
ZERO_IS_NONE = ("sigma_min", "sigma_max", "rho", "s_tmax")  # A1111 writes 0 where it means "the model's own", "no end"


def request(
    body: Txt2Img | Img2Img, options: Mapping[str, Any], opened: edits.Open, upscalers: Sequence[str]
) -> GenerateRequest:
    """opened: reads a picture as clients send them.  upscalers: in the order that indexes count.

    Raises Refusal for what this version cannot do, InvalidRequest for senseless values.
    """
    _refuse_what_is_not_here(body)
    body = _from_infotext(body)
    settings = _known(dict(options) | _overrides(body))
    sampler, schedule = _sampler(body)
    fields: dict[str, Any] = {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt,
        "styles": tuple(body.styles or ()),
        "width": body.width,
        "height": body.height,
        "batch_size": body.batch_size,
        "batch_count": body.n_iter,
        "seed": body.seed,
        "subseed": body.subseed,
        "subseed_strength": body.subseed_strength,
        "seed_resize_from_w": max(body.seed_resize_from_w, 0),
        "seed_resize_from_h": max(body.seed_resize_from_h, 0),
        "steps": body.steps,
        "cfg_scale": body.cfg_scale,
        "sampler": sampler,
        "schedule": schedule,
        "eta": _eta(body, sampler, settings),
        **_acting(settings, ACTING),
        "restore_faces": _faces(body, settings),
        **edits.refiner(body),
        "vae_tiles": vae_tiles(body.alwayson_scripts),
    }
    if isinstance(body, Img2Img):
        fields |= _acting(settings, EDITING) | edits.source(body, opened)
    else:
        fields |= edits.second_pass(body, opened)
    fields |= tiles.fields(body, upscalers)
    for name in ("tiling", "s_churn", "s_tmin", "s_tmax", "s_noise"):
        if (value := getattr(body, name)) is not None:
            fields[name] = value
    if body.s_min_uncond is not None:
        fields["ngms"] = body.s_min_uncond
    return GenerateRequest(**{name: value for name, value in fields.items() if not _left_open(name, value)})


def _acting(settings: Mapping[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """Options that differ from A1111's defaults, as fields."""
    return {
        field: settings[option]
        for option, field in options.items()
        if settings[option] is not None and settings[option] != OPTIONS[option]
    }


def _faces(body: Drawing, settings: Mapping[str, Any]) -> str | None:
    """The restorer that the options name, the best there is where they name none; None: faces stay as drawn."""
    wanted = settings["face_restoration"] if body.restore_faces is None else body.restore_faces
    return (settings["face_restoration_model"] or choices.AUTOMATIC) if wanted else None


def _left_open(name: str, value: object) -> bool:
    """Whether the model or the sampler decides."""
    return value is None or (name in ZERO_IS_NONE and value == 0)


def _overrides(body: Drawing) -> dict[str, Any]:
    return {name: value for name, value in (body.override_settings or {}).items() if value is not None}


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """Overrides have the types of options.  Raises InvalidRequest naming the option."""
    for option in (*ACTING, *EDITING, *FACES):
        default, value = OPTIONS[option], settings[option]
        wanted: tuple[type, ...] = (str,) if isinstance(default, str | None) else (int, float)
        wanted = (bool,) if isinstance(default, bool) else wanted
        if value is not None and (not isinstance(value, wanted) or (bool not in wanted and isinstance(value, bool))):
            raise InvalidRequest(f"override_settings has {option} = {str(value)[:60]!r}.",
                                 f"Its default is {default!r}.", option)  # fmt: skip
        if isinstance(default, int) and not isinstance(default, bool) and isinstance(value, float):
            settings[option] = int(value)
    return settings


def _from_infotext(body: Txt2Img | Img2Img) -> Txt2Img | Img2Img:
    """Fields that the request does not set come from its infotext, if it has one."""
    if not body.infotext:
        return body
    found = infotext.to_request(infotext.parse(body.infotext))
    pasted = {
        "prompt": found.prompt, "negative_prompt": found.negative_prompt, "seed": found.seed, "steps": found.steps,
        "sampler_name": found.sampler, "scheduler": found.schedule, "cfg_scale": found.cfg_scale,
        "width": found.width, "height": found.height, "subseed": found.subseed,
        "subseed_strength": found.subseed_strength,
    }  # fmt: skip
    missing = {name: value for name, value in pasted.items() if name not in body.model_fields_set and value is not None}
    return body.model_copy(update=missing)


def _sampler(body: Drawing) -> tuple[str, str]:
    """Sampler and schedule in their own spelling; "DPM++ 2M Karras" and "automatic" are understood."""
    asked = body.sampler_name or body.sampler_index or "Euler"
    sampler, schedule = split_sampler(asked, body.scheduler or AUTOMATIC)
    return _spelt(sampler, SAMPLERS, "sampler", asked), _schedule(schedule)


def _schedule(name: str) -> str:
    """Labels ("Karras") and A1111's internal names ("karras", "sgm_uniform")."""
    folded = name.replace("_", " ").casefold().strip()
    names = {"automatic": AUTOMATIC, "uniform": "Uniform", "ddim uniform": "DDIM", "turbo": "Uniform"}
    known = {choice.casefold(): choice for choice in SCHEDULES} | names
    return known.get(folded) or _spelt(name, SCHEDULES, "scheduler", name)


def _spelt(name: str, choices: tuple[str, ...], noun: str, asked: str) -> str:
    wanted = name.casefold().strip().removeprefix("k_")
    for choice in choices:
        if wanted in (choice.casefold(), choice.casefold().replace(" ", "_"), alias(choice)):
            return choice
    close = nearest(name, choices)
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"Choose one of: {', '.join(choices)}."
    raise Refusal(400, f"unknown_{noun}", f"{noun.capitalize()} not found: {asked[:80]!r}.", remedy, field=noun)


def alias(sampler: str) -> str:
    """A1111's short name: "DPM++ 2M SDE" is also k_dpmpp_2m_sde."""
    return sampler.casefold().replace("++", "pp").replace(" ", "_")


def _eta(body: Drawing, sampler: str, settings: Mapping[str, Any]) -> float | None:
    """The request's, else the option's; None for the sampler's own, which A1111's defaults are."""
    option = "eta_ddim" if sampler.startswith("DDIM") else "eta_ancestral"
    value = settings[option] if body.eta is None else body.eta
    return None if value == OPTIONS[option] or not isinstance(value, int | float) else float(value)


ALWAYS_ON: dict[bool, tuple[str, ...]] = {
    False: (tiles.TILED, TILED_VAE),
    True: (edits.SOFT, tiles.TILED, TILED_VAE),
}
"""Scripts that ride along with a request, of img2img (True) and of txt2img."""


def scripts(body: Txt2Img | Img2Img) -> tuple[str, ...]:
    """Names of the always-on scripts this request may carry."""
    return ALWAYS_ON[isinstance(body, Img2Img)]


def _refuse_what_is_not_here(body: Txt2Img | Img2Img) -> None:
    known = [*scripts(body), "controlnet"]
    for name, script in body.alwayson_scripts.items():
        idle = name.casefold() != "controlnet" or not _units(script)
        if name.casefold() in known and idle:
            continue
        raise Refusal(422, "script_not_found", f"Always on script not found: {name[:80]!r}.",
                      "GET /sdapi/v1/scripts lists what there is.")  # fmt: skip


def vae_tiles(scripts: Mapping[str, Any]) -> VaeTiles | None:
    """The script's arguments: enabled, encoder and decoder tile, vae_to_gpu, fast_decoder, fast_encoder, color_fix.

    In order or by name.  Fast tiles may be used where they are needed; with both switched off they never are.  Where
    the VAE computes, and whether its colours need a fix, is settled without them.  Sizes beyond the limits become the
    nearest.
    """
    script = next((value for name, value in scripts.items() if name.casefold() == TILED_VAE), None)
    args = script.get("args") if isinstance(script, Mapping) else None
    if not isinstance(args, list) or not args:
        return None
    given = args[0] if isinstance(args[0], Mapping) else dict(zip(TILED_VAE_ARGS, args, strict=False))
    values = {name: given[name] for name in TILED_VAE_ARGS if given.get(name) is not None}
    for name, value in values.items():
        kind = int if name.endswith("_size") else bool
        if type(value) is not kind and not (kind is int and isinstance(value, float) and value.is_integer()):
            example = "Its arguments are [true, 960, 96, true, true, true, false]."
            raise InvalidRequest(f"Tiled VAE's {name} is {str(value)[:60]!r}.", example, "alwayson_scripts")
    if not values.get("enabled", True):
        return None
    sizes = {name: min(max(int(values.get(f"{name}_size", getattr(VaeTiles(), name))), int(low)), int(high))
             for name, low, high in TILES_RANGES}  # fmt: skip
    fast = values.get("fast_decoder", True) or values.get("fast_encoder", True)
    return VaeTiles(**sizes, fast=None if fast else False)


def _units(script: object) -> list[object]:
    """ControlNet units that are switched on; clients send empty ones with every request."""
    args = script.get("args") if isinstance(script, dict) else None
    units = args if isinstance(args, list) else []
    return [unit for unit in units if isinstance(unit, dict) and unit.get("enabled", True) and unit.get("model")]


def not_yet(what: str, field: str | None = None) -> Refusal:
    return Refusal(422, "not_yet", f"{what} is not in this version of Inkwash yet.", "Leave it out.", field=field)
