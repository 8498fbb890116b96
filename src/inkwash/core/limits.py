"""Whether a request can be drawn at all, answered in words before torch or a model is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from inkwash.core.choices import (
    EMPHASIS,
    INPAINTING_FILLS,
    LATENT_UPSCALERS,
    NOISE_SOURCES,
    REGION_BLENDS,
    RESIZE_MODES,
    SAMPLERS,
    SCHEDULES,
    TILE_METHODS,
    UPSCALERS,
    choose,
    prediction_named,
    split_sampler,
)
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import (
    GenerateRequest,
    HiresPass,
    NoiseInversion,
    Region,
    SDUpscale,
    SoftInpainting,
    TiledDiffusion,
)


@dataclass(frozen=True)
class Limits:
    """Upper bounds that keep a slip of the finger, or a stranger, from taking the machine."""

    side: int = 8192  # pixels
    steps: int = 1000
    batch_size: int = 64
    batch_count: int = 10_000
    prompt: int = 100_000  # characters


MULTIPLE = 8  # a latent is an eighth of the picture's side
SEED = 2**64  # what torch's generators take

# field, lowest, highest; None where there is no bound
RANGES: tuple[tuple[str, float | None, float | None], ...] = (
    ("seed", None, SEED - 1),  # any negative one means: draw one
    ("subseed", None, SEED - 1),
    ("subseed_strength", 0, 1),
    ("clip_skip", 1, 12),
    ("cfg_scale", 0, 1000),
    ("cfg_rescale", 0, 1),
    ("guidance_start", 0, 1),
    ("guidance_end", 0, 1),
    ("skip_early_cfg", 0, 1),
    ("ngms", 0, None),
    ("eta", 0, 100),
    ("s_churn", 0, None),
    ("s_tmin", 0, None),
    ("s_tmax", 0, None),
    ("s_noise", 0, 100),
    ("sigma_min", 0, None),
    ("sigma_max", 0, None),
    ("rho", 0, 1000),
    ("denoising_strength", 0, 1),
    ("initial_noise_multiplier", 0, 10),
    ("noise_level", 0, 999),
    ("mask_blur", 0, 256),
    ("mask_blur_y", 0, 256),
    ("only_masked_padding", 0, 4096),
    ("refiner_switch_at", 0, 1),
    ("keep_structure", 0, 1),
    ("codeformer_weight", 0, 1),
)
HIRES_RANGES: tuple[tuple[str, float, float], ...] = (("scale", 1, 16), ("denoising_strength", 0, 1))
SOFT_RANGES: tuple[tuple[str, float, float], ...] = (
    ("schedule_bias", 0, 8),
    ("preservation_strength", 0, 8),
    ("transition_contrast", 1, 32),
    ("mask_influence", 0, 1),
    ("difference_threshold", 0, 8),
    ("difference_contrast", 0, 8),
)
TILES_RANGES: tuple[tuple[str, float, float], ...] = (("encoder_tile", 64, 8192), ("decoder_tile", 8, 1024))
TILED_RANGES: tuple[tuple[str, float, float], ...] = (
    ("tile_width", 0, 1024),
    ("tile_height", 0, 1024),
    ("overlap", 0, 1000),
    ("tile_batch", 1, 64),
    ("scale", 1, 16),
)
REGION_RANGES: tuple[tuple[str, float, float], ...] = (
    ("x", 0, 1),
    ("y", 0, 1),
    ("w", 0, 1),
    ("h", 0, 1),
    ("feather_ratio", 0, 1),
    ("weight", 0.001, 1000),
    ("seed", -1, SEED - 1),
)
INVERSION_RANGES: tuple[tuple[str, float, float], ...] = (
    ("steps", 1, 200),
    ("retouch", 1, 100),
    ("renoise_strength", 0, 2),
    ("renoise_kernel", 2, 512),
)
SD_UPSCALE_RANGES: tuple[tuple[str, float, float], ...] = (("scale", 1, 16), ("overlap", 0, 512))
SMALLEST_TILE = 8  # latent pixels
REGIONS = 64
UNBOUNDED = ("s_tmax",)  # may be infinite


def check(request: GenerateRequest, limits: Limits | None = None) -> GenerateRequest:
    """The request with its names in their proper spelling.  Raises InvalidRequest naming the first bad field."""
    limits = limits or Limits()
    _check_text(request, limits)
    for field, side in (("width", request.width), ("height", request.height)):
        if side is not None:
            _check_side(field, side, limits)
    for field, lowest, highest in (
        *RANGES,
        ("steps", 1, limits.steps),
        ("batch_size", 1, limits.batch_size),
        ("batch_count", 1, limits.batch_count),
    ):
        _check_range(field, getattr(request, field), lowest, highest)
    _check_pairs(request)
    _check_sources(request)
    if request.hires is not None:
        _check_enlarged(request, request.hires, limits)
    if request.soft_inpainting is not None:
        _check_soft(request.soft_inpainting)
    if request.vae_tiles is not None:
        for field, lowest, highest in TILES_RANGES:
            _check_range(f"vae_tiles.{field}", getattr(request.vae_tiles, field), lowest, highest)
    _check_redrawing(request, limits)
    sampler, schedule = split_sampler(request.sampler, request.schedule)
    return replace(
        request,
        sampler=choose("sampler", sampler, SAMPLERS),
        schedule=choose("schedule", schedule, SCHEDULES),
        prediction=None if request.prediction is None else prediction_named(request.prediction),
        emphasis=choose("emphasis", request.emphasis, EMPHASIS),
        noise_source=choose("noise source", request.noise_source, NOISE_SOURCES),
        inpainting_fill=choose("masked content", request.inpainting_fill, INPAINTING_FILLS),
        resize_mode=choose("resize mode", request.resize_mode, RESIZE_MODES),
        restore_faces=face_restorer(request.restore_faces),
        hires=request.hires and _checked_hires(request.hires, limits),
        tiled=request.tiled and _checked_tiled(request.tiled, limits),
        noise_inversion=request.noise_inversion and _checked_inversion(request.noise_inversion),
        sd_upscale=request.sd_upscale and _checked_upscale(request.sd_upscale),
    )


def _check_redrawing(request: GenerateRequest, limits: Limits) -> None:
    """Tiles, SD upscale and noise inversion beside everything else."""
    upscale, tiled, image = request.sd_upscale, request.tiled, request.init_image
    if tiled is not None and request.tiling:
        raise InvalidRequest(
            "Every tile would wrap around at its own edges.", "Leave tiling or the tiles off.", "tiled"
        )
    for field, asked in (
        ("sd_upscale", upscale),
        ("noise_inversion", request.noise_inversion),
        ("tiled.upscaler", tiled and tiled.upscaler),
    ):
        if asked and image is None:
            raise InvalidRequest(f"{field} starts from a picture, and there is none.", "Give init_image.", field)
    if upscale is not None:
        for field in ("mask", "depth", "hires"):
            if getattr(request, field) is not None:
                remedy = "Leave it out; tiled diffusion (tiled, with an upscaler) goes with masks."
                raise InvalidRequest(f"SD upscale redraws all of a picture and knows no {field}.", remedy, field)
    for field, scale in (("sd_upscale.scale", upscale and upscale.scale), ("tiled.scale", _own_scale(tiled))):
        side = max(image.size) if image is not None else 0
        if scale and side * scale > limits.side:
            raise InvalidRequest(
                f"{field} {scale:g} makes the picture {side * scale:.0f} pixels long; at most {limits.side} fit.",
                "Take a smaller scale.",
                field,
            )


def _own_scale(tiled: TiledDiffusion | None) -> float | None:
    return tiled.scale if tiled is not None and tiled.upscaler else None


def _checked_tiled(tiled: TiledDiffusion, limits: Limits) -> TiledDiffusion:
    for field, lowest, highest in TILED_RANGES:
        _check_range(f"tiled.{field}", getattr(tiled, field), lowest, highest)
    sides = [side for side in (tiled.tile_width, tiled.tile_height) if side]
    for side in sides:
        if side < SMALLEST_TILE:
            raise InvalidRequest(
                f"A tile is {side} latent pixels long; at least {SMALLEST_TILE} make a picture.",
                "Try 96; 0 is the size the model was made for.",
                "tiled.tile_width",
            )
        if tiled.overlap >= side:
            raise InvalidRequest(
                f"Tiles {side} long cannot share {tiled.overlap}.", f"Try {side // 2}.", "tiled.overlap"
            )
    if len(tiled.regions) > REGIONS:
        raise InvalidRequest(
            f"There are {len(tiled.regions)} regions; at most {REGIONS} are drawn.", "Leave some out.", "tiled.regions"
        )
    return replace(
        tiled,
        method=choose("tile method", tiled.method, TILE_METHODS),
        upscaler=tiled.upscaler and _picture_upscaler("tiled.upscaler", tiled.upscaler),
        regions=tuple(_checked_region(region, limits) for region in tiled.regions),
    )


def _checked_region(region: Region, limits: Limits) -> Region:
    for field, lowest, highest in REGION_RANGES:
        _check_range(f"tiled.regions.{field}", getattr(region, field), lowest, highest)
    for field in ("prompt", "negative_prompt"):
        _check_words(f"tiled.regions.{field}", getattr(region, field), limits)
    return replace(region, blend=choose("region blend", region.blend, REGION_BLENDS))


def _checked_inversion(inversion: NoiseInversion) -> NoiseInversion:
    for field, lowest, highest in INVERSION_RANGES:
        _check_range(f"noise_inversion.{field}", getattr(inversion, field), lowest, highest)
    return inversion


def _checked_upscale(upscale: SDUpscale) -> SDUpscale:
    for field, lowest, highest in SD_UPSCALE_RANGES:
        _check_range(f"sd_upscale.{field}", getattr(upscale, field), lowest, highest)
    return replace(upscale, upscaler=_picture_upscaler("sd_upscale.upscaler", upscale.upscaler))


def _check_sources(request: GenerateRequest) -> None:
    """The pictures a request starts from: that they are pictures, and of one size."""
    for field in ("init_image", "mask", "latent_mask", "depth"):
        value = getattr(request, field)
        if value is not None and not hasattr(value, "getbands"):  # Pillow's; importing it here would cost its time
            raise InvalidRequest(
                f"{field} is a {type(value).__name__}, not a picture.",
                "Open it with inkwash.core.images.load(path).",
                field,
            )
    first = request.init_image
    for field, needs_mask in (
        ("only_masked", request.only_masked),
        ("soft_inpainting", request.soft_inpainting),
        ("latent_mask", request.latent_mask),
    ):
        if needs_mask and request.mask is None:
            raise InvalidRequest(f"{field} is set, but there is no mask.", "Give a mask, or leave it off.", field)
    for field in ("mask", "latent_mask", "depth"):
        other = getattr(request, field)
        if other is None:
            continue
        if first is None and field == "mask":
            raise InvalidRequest("There is a mask, but no picture to redraw.", "Give init_image as well.", field)
        if first is not None and other.size != first.size:
            sizes = f"{other.size[0]}x{other.size[1]}, the picture {first.size[0]}x{first.size[1]}"
            raise InvalidRequest(f"The {field} is {sizes}.", f"Give a {field} of the picture's size.", field)


def _check_soft(soft: SoftInpainting) -> None:
    for field, lowest, highest in SOFT_RANGES:
        _check_range(f"soft_inpainting.{field}", getattr(soft, field), lowest, highest)


def _check_enlarged(request: GenerateRequest, hires: HiresPass, limits: Limits) -> None:
    for field, side in (("width", request.width), ("height", request.height)):
        if side and not (hires.width or hires.height) and side * hires.scale > limits.side:
            raise InvalidRequest(
                f"hires.scale {hires.scale:g} makes the {field} {side * hires.scale:.0f}; at most {limits.side} fit.",
                "Take a smaller scale.",
                "hires.scale",
            )


def _checked_hires(hires: HiresPass, limits: Limits) -> HiresPass:
    for field, lowest, highest in (*HIRES_RANGES, ("steps", 0, limits.steps)):
        _check_range(f"hires.{field}", getattr(hires, field), lowest, highest)
    for field in ("width", "height"):
        if getattr(hires, field):
            _check_side(f"hires.{field}", getattr(hires, field), limits)
    sampler, schedule = hires.sampler, hires.schedule
    if sampler is not None:
        sampler, found = split_sampler(sampler, schedule or "Automatic")
        sampler, schedule = choose("sampler", sampler, SAMPLERS), schedule if found == "Automatic" else found
    return replace(
        hires,
        sampler=sampler,
        schedule=None if schedule is None else choose("schedule", schedule, SCHEDULES),
        upscaler=_upscaler(hires.upscaler),
    )


def face_restorer(name: str | None) -> str | None:
    """None also for what forms and A1111 call it: nothing, and "None".  Files' names are for others to know."""
    told = (name or "").strip()
    return None if told.casefold() in ("", "none") else told


def _upscaler(name: str) -> str:
    """Names of learned upscalers pass: what files there are is for others to know."""
    return next((known for known in UPSCALERS if known.casefold() == name.casefold().strip()), name.strip())


def _picture_upscaler(field: str, name: str) -> str:
    """Of a picture that is not encoded yet, so none that works on latents."""
    found = _upscaler(name)
    if found in LATENT_UPSCALERS:
        raise InvalidRequest(f"{field} is {found!r}, which enlarges latents.", 'Try "Lanczos".', field)
    return found


def _check_text(request: GenerateRequest, limits: Limits) -> None:
    texts = [(field, getattr(request, field)) for field in ("prompt", "negative_prompt")]
    texts += [(f"hires.{field}", getattr(request.hires, field)) for field, _ in texts if request.hires]
    for field, text in texts:
        _check_words(field, text, limits)


def _check_words(field: str, text: str, limits: Limits) -> None:
    if len(text) > limits.prompt:
        raise InvalidRequest(
            f"{field} has {len(text)} characters; at most {limits.prompt} are taken.", "Shorten it.", field
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest(f"{field} is not valid Unicode text.", "Check the terminal's encoding (UTF-8).", field)


def _check_side(field: str, side: int, limits: Limits) -> None:
    if not MULTIPLE <= side <= limits.side:
        raise InvalidRequest(
            f"{field} is {side}; it must lie between {MULTIPLE} and {limits.side} pixels.", "Try 512.", field
        )
    if side % MULTIPLE:
        lower = side // MULTIPLE * MULTIPLE
        raise InvalidRequest(
            f"{field} is {side}, which is not a multiple of {MULTIPLE}.",
            f"Try {lower or MULTIPLE} or {lower + MULTIPLE}.",
            field,
        )


def _check_range(field: str, value: float | None, lowest: float | None, highest: float | None) -> None:
    if value is None:
        return
    finite = math.isfinite(value) or (field in UNBOUNDED and value == math.inf)
    if finite and (lowest is None or value >= lowest) and (highest is None or value <= highest):
        return
    if lowest is None or highest is None:
        span = f"at least {lowest}" if highest is None else f"at most {highest}"
    else:
        span = f"between {lowest} and {highest}"
    raise InvalidRequest(f"{field} is {value}; it must be {span}.", f"Give {field} a value in that range.", field)


def _check_pairs(request: GenerateRequest) -> None:
    """Fields that only make sense together."""
    if request.guidance_start > request.guidance_end:
        raise InvalidRequest(
            f"guidance_start {request.guidance_start} lies after guidance_end {request.guidance_end}.",
            "Swap them.",
            "guidance_start",
        )
    low, high = request.sigma_min, request.sigma_max
    if low is not None and high is not None and low >= high:
        raise InvalidRequest(
            f"sigma_min {low} is not below sigma_max {high}.", "Swap them, or leave them out.", "sigma_min"
        )
    if request.sigmas is not None:
        _check_sigmas(request.sigmas)


def _check_sigmas(sigmas: tuple[float, ...]) -> None:
    descending = all(a > b for a, b in pairwise(sigmas))
    if len(sigmas) < 2 or not all(map(math.isfinite, sigmas)) or sigmas[-1] < 0 or not descending:
        raise InvalidRequest(
            f"sigmas must be at least two numbers, each below the one before it, none negative; found {sigmas[:8]}.",
            "For example 14.6 8 4 2 1 0.5 0.",
            "sigmas",
        )
