"""``inkwash txt2img``: flags -> GenerateRequest -> pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from inkwash.cli.flags import request_of
from inkwash.core import files, limits, naming, settings
from inkwash.core.choices import (
    DTYPES,
    PICTURE_FORMATS,
    QUALITY,
    SAMPLERS,
    SCHEDULES,
    TILE_METHODS,
    UPSCALERS,
    choose,
)
from inkwash.core.errors import InvalidRequest
from inkwash.core.parameters import help_of
from inkwash.core.request import GenerateRequest, HiresPass, TiledDiffusion

if TYPE_CHECKING:
    from inkwash.cli.drawing import Drawer, Order
    from inkwash.cli.saving import Saver

DEFAULT, SECOND, TILED = GenerateRequest(), HiresPass(), TiledDiffusion()

# Where a flag stands in --help.
PICTURE, MODEL, NOISE = "Picture", "Model", "Seeds and noise"
SAMPLING, GUIDANCE, HIRES, TILES, OUTPUT = "Sampling", "Guidance", "Second pass", "Tiles", "Output"


def flag(panel: str, help: str, *names: str) -> Any:
    """An option; without names it is called as its parameter."""
    return Option(*names, help=help, rich_help_panel=panel)


def txt2img(
    context: typer.Context,
    prompt: Annotated[str, Argument(help=help_of("prompt"))],
    negative: Annotated[str, flag(PICTURE, help_of("negative_prompt"), "--negative", "-n")] = DEFAULT.negative_prompt,
    width: Annotated[int | None, flag(PICTURE, help_of("width"))] = DEFAULT.width,
    height: Annotated[int | None, flag(PICTURE, help_of("height"))] = DEFAULT.height,
    batch_size: Annotated[int, flag(PICTURE, help_of("batch_size"))] = DEFAULT.batch_size,
    batch_count: Annotated[int, flag(PICTURE, help_of("batch_count"))] = DEFAULT.batch_count,
    style: Annotated[list[str] | None, flag(PICTURE, "A style of styles.csv; may be repeated.")] = None,
    tiling: Annotated[bool, flag(PICTURE, help_of("tiling"), "--tiling")] = DEFAULT.tiling,
    restore_faces: Annotated[str | None, flag(PICTURE, help_of("restore_faces"))] = DEFAULT.restore_faces,
    codeformer_weight: Annotated[float, flag(PICTURE, help_of("codeformer_weight"))] = DEFAULT.codeformer_weight,
    model: Annotated[str | None, flag(MODEL, help_of("model"), "--model", "-m")] = DEFAULT.model,
    vae: Annotated[str | None, flag(MODEL, help_of("vae"))] = DEFAULT.vae,
    prediction: Annotated[str | None, flag(MODEL, help_of("prediction"))] = DEFAULT.prediction,
    ema: Annotated[bool, flag(MODEL, help_of("ema"), "--ema")] = DEFAULT.ema,
    clip_skip: Annotated[int, flag(MODEL, help_of("clip_skip"))] = DEFAULT.clip_skip,
    emphasis: Annotated[str, flag(MODEL, help_of("emphasis"))] = DEFAULT.emphasis,
    models_dir: Annotated[Path | None, flag(MODEL, "The folder that holds models/ and embeddings/.")] = None,
    device: Annotated[str | None, flag(MODEL, "cpu, cuda, cuda:1 or mps.")] = None,
    dtype: Annotated[str | None, flag(MODEL, f"{', '.join(DTYPES)}.")] = None,
    memory_policy: Annotated[str | None, flag(MODEL, f"Weights in memory: {', '.join(settings.POLICIES)}.")] = None,
    memory_limit: Annotated[float | None, flag(MODEL, "GB that the program may take.")] = None,
    strict: Annotated[
        bool | None,
        flag(MODEL, help_of("strict"), "--strict/--fast"),
    ] = DEFAULT.strict,
    vae_tile: Annotated[int | None, flag(MODEL, "VAE tiles of so many latent pixels a side.")] = None,
    vae_fast: Annotated[bool | None, flag(MODEL, help_of("vae_tiles.fast"), "--vae-fast/--vae-exact")] = None,
    seed: Annotated[int, flag(NOISE, help_of("seed"), "--seed", "-s")] = DEFAULT.seed,
    subseed: Annotated[int, flag(NOISE, help_of("subseed"))] = DEFAULT.subseed,
    subseed_strength: Annotated[float, flag(NOISE, help_of("subseed_strength"))] = DEFAULT.subseed_strength,
    seed_resize_from_w: Annotated[int, flag(NOISE, help_of("seed_resize_from_w"))] = DEFAULT.seed_resize_from_w,
    seed_resize_from_h: Annotated[int, flag(NOISE, help_of("seed_resize_from_h"))] = DEFAULT.seed_resize_from_h,
    noise_source: Annotated[str, flag(NOISE, help_of("noise_source"))] = DEFAULT.noise_source,
    ensd: Annotated[int, flag(NOISE, help_of("ensd"))] = DEFAULT.ensd,
    steps: Annotated[int, flag(SAMPLING, help_of("steps"))] = DEFAULT.steps,
    sampler: Annotated[str, flag(SAMPLING, f"{', '.join(SAMPLERS)}.")] = DEFAULT.sampler,
    schedule: Annotated[str, flag(SAMPLING, f"{', '.join(SCHEDULES)}.")] = DEFAULT.schedule,
    sigmas: Annotated[str | None, flag(SAMPLING, 'Noise levels of your own: "14.6 7 3 1 0".')] = None,
    sigma_min: Annotated[float | None, flag(SAMPLING, help_of("sigma_min"))] = DEFAULT.sigma_min,
    sigma_max: Annotated[float | None, flag(SAMPLING, help_of("sigma_max"))] = DEFAULT.sigma_max,
    rho: Annotated[float | None, flag(SAMPLING, help_of("rho"))] = DEFAULT.rho,
    discard_penultimate_sigma: Annotated[
        bool | None,
        flag(SAMPLING, help_of("discard_penultimate_sigma"), "--discard-penultimate-sigma/--keep-penultimate-sigma"),
    ] = DEFAULT.discard_penultimate_sigma,
    eta: Annotated[float | None, flag(SAMPLING, help_of("eta"))] = DEFAULT.eta,
    s_churn: Annotated[float, flag(SAMPLING, help_of("s_churn"))] = DEFAULT.s_churn,
    s_tmin: Annotated[float, flag(SAMPLING, help_of("s_tmin"))] = DEFAULT.s_tmin,
    s_tmax: Annotated[float, flag(SAMPLING, help_of("s_tmax"))] = DEFAULT.s_tmax,
    s_noise: Annotated[float, flag(SAMPLING, help_of("s_noise"))] = DEFAULT.s_noise,
    cfg: Annotated[float, flag(GUIDANCE, help_of("cfg_scale"), "--cfg")] = DEFAULT.cfg_scale,
    cfg_rescale: Annotated[float, flag(GUIDANCE, help_of("cfg_rescale"))] = DEFAULT.cfg_rescale,
    guidance_start: Annotated[float, flag(GUIDANCE, help_of("guidance_start"))] = DEFAULT.guidance_start,
    guidance_end: Annotated[float, flag(GUIDANCE, help_of("guidance_end"))] = DEFAULT.guidance_end,
    ngms: Annotated[float, flag(GUIDANCE, help_of("ngms"))] = DEFAULT.ngms,
    ngms_all_steps: Annotated[
        bool, flag(GUIDANCE, help_of("ngms_all_steps"), "--ngms-all-steps")
    ] = DEFAULT.ngms_all_steps,
    skip_early_cfg: Annotated[float, flag(GUIDANCE, help_of("skip_early_cfg"))] = DEFAULT.skip_early_cfg,
    hires: Annotated[
        bool, flag(HIRES, "Draw on at twice the size (hires fix), or as the flags below say.", "--hires")
    ] = False,
    hires_scale: Annotated[float | None, flag(HIRES, "Times the first size; 2 unless a size is given.")] = None,
    hires_width: Annotated[int, flag(HIRES, help_of("hires.width"))] = SECOND.width,
    hires_height: Annotated[int, flag(HIRES, "Likewise, height.")] = SECOND.height,
    hires_upscaler: Annotated[str, flag(HIRES, f"{', '.join(UPSCALERS)}, or a file.")] = SECOND.upscaler,
    hires_strength: Annotated[float, flag(HIRES, help_of("hires.denoising_strength"))] = SECOND.denoising_strength,
    hires_steps: Annotated[int, flag(HIRES, help_of("hires.steps"))] = SECOND.steps,
    hires_sampler: Annotated[str | None, flag(HIRES, "Default: the first pass's.")] = SECOND.sampler,
    hires_schedule: Annotated[str | None, flag(HIRES, "Likewise.")] = SECOND.schedule,
    hires_prompt: Annotated[str, flag(HIRES, "Likewise.")] = SECOND.prompt,
    hires_negative: Annotated[str, flag(HIRES, "Likewise.")] = SECOND.negative_prompt,
    hires_model: Annotated[str | None, flag(HIRES, "Likewise.")] = SECOND.model,
    refiner: Annotated[str | None, flag(HIRES, help_of("refiner"))] = DEFAULT.refiner,
    refiner_switch_at: Annotated[
        float, flag(HIRES, "... after this fraction of the steps.")
    ] = DEFAULT.refiner_switch_at,
    tiled: Annotated[bool, flag(TILES, help_of("tiled.enabled"), "--tiled")] = False,
    tile_method: Annotated[str, flag(TILES, f"{', '.join(TILE_METHODS)}.")] = TILED.method,
    tile_width: Annotated[int, flag(TILES, help_of("tiled.tile_width"))] = TILED.tile_width,
    tile_height: Annotated[int, flag(TILES, "Likewise.")] = TILED.tile_height,
    tile_overlap: Annotated[int, flag(TILES, help_of("tiled.overlap"))] = TILED.overlap,
    tile_batch: Annotated[int, flag(TILES, help_of("tiled.tile_batch"))] = TILED.tile_batch,
    region: Annotated[
        list[str] | None, flag(TILES, 'Its own prompt for a part: "0 0.5 1 0.5: a lake", or JSON; may be repeated.')
    ] = None,
    background: Annotated[
        bool, flag(TILES, help_of("tiled.draw_background"), "--background/--no-background")
    ] = TILED.draw_background,
    keep_structure: Annotated[float | None, flag(TILES, help_of("keep_structure"))] = None,
    out: Annotated[
        Path | None,
        flag(OUTPUT, "A folder, or a file ending in .png, .jpg or .webp.", "--out", "-o"),
    ] = None,
    pattern: Annotated[str | None, flag(OUTPUT, "File names, as [number]-[seed]-[prompt_words].")] = None,
    format: Annotated[str | None, flag(OUTPUT, f"{', '.join(PICTURE_FORMATS)}.")] = None,
    quality: Annotated[int, flag(OUTPUT, "1 to 100, for JPEG and WebP; WebP at 100 is lossless.")] = QUALITY,
    save_steps: Annotated[
        bool,
        flag(OUTPUT, "Each step's picture and a plot of the noise schedule.", "--save-steps"),
    ] = False,
    as_json: Annotated[bool, flag(OUTPUT, "One JSON object: files, seeds, infotexts, seconds.", "--json")] = False,
) -> None:
    """Draw pictures from words."""
    flags = dict(locals())  # before any other name: exactly the flags
    raise typer.Exit(_drawn(context, request_of(flags), flags))


def _drawn(context: typer.Context, request: GenerateRequest, flags: Mapping[str, Any]) -> int:
    from inkwash.cli.drawing import draw  # rich and Pillow: not for --help

    here = settings.load()
    order = order_of(limits.check(request, here.limits), flags, here, "txt2img-images")
    return draw(order, engine_of(context, flags, here))


def order_of(request: GenerateRequest, flags: Mapping[str, Any], here: settings.Settings, folder: str) -> Order:
    """request: checked.  folder: of the outputs, where pictures go if --out does not say.  Raises InkwashError."""
    from inkwash.cli.drawing import Order

    out, pattern, format, quality = (flags[name] for name in ("out", "pattern", "format", "quality"))
    saver = saver_for(here, out, pattern, format, quality, datetime.now(), folder)
    files.check_folder(saver.folder)  # a read-only folder is told now, not after minutes of drawing
    return Order(request, saver, flags["save_steps"], flags["as_json"])


def engine_of(context: typer.Context, flags: Mapping[str, Any], here: settings.Settings) -> Drawer:
    """The engine that the flags ask for.  Raises InvalidRequest."""
    from inkwash.cli.drawing import open_engine

    dtype = None if flags["dtype"] is None else choose("dtype", flags["dtype"], DTYPES)
    folder, memory = flags["models_dir"] or here.models_dir, memory_of(flags, here.memory)
    opened: Drawer = (context.obj or open_engine)(folder, flags["device"], dtype, memory)
    return opened


def memory_of(flags: Mapping[str, Any], memory: settings.Memory) -> settings.Memory:
    """The settings' with the flags over them.  Raises BadSettings."""
    policy, limit = flags.get("memory_policy"), flags.get("memory_limit")
    told = replace(
        memory, policy=memory.policy if policy is None else policy, limit=memory.limit if limit is None else limit
    )
    return settings.checked_memory(told, "the flags")


def saver_for(
    here: settings.Settings,
    out: Path | None,
    pattern: str | None,
    format: str | None,
    quality: int,
    now: datetime,
    kind: str = "txt2img-images",
) -> Saver:
    """Where and how pictures are saved.  kind: the folder of the outputs they go to.  Raises InvalidRequest."""
    from inkwash.cli.saving import Saver
    from inkwash.core import images

    pattern = pattern or here.pattern
    naming.check(pattern)
    wanted = (
        None
        if format is None
        else choose("picture format", {"jpg": "jpeg"}.get(format.lower(), format), PICTURE_FORMATS)
    )
    if not 1 <= quality <= 100:
        raise InvalidRequest(f"quality is {quality}; it must lie between 1 and 100.", f"Try {QUALITY}.")
    if out is not None and out.suffix and not out.is_dir():
        named = images.format_of(out)
        if wanted not in (None, named):
            raise InvalidRequest(f"--out {out} and --format {wanted} contradict each other.", "Leave --format out.")
        return Saver(out.parent.absolute(), pattern, named, quality, now, name=out.name)
    folder = out or here.outputs_dir / kind / f"{now:%Y-%m-%d}"
    return Saver(folder.absolute(), pattern, wanted or "png", quality, now)
