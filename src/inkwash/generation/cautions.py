"""What a model's kind makes worth saying about a request, in words; nothing here is an error."""

from __future__ import annotations

from collections.abc import Iterator

from inkwash.checkpoint import FAMILIES, ModelSpec
from inkwash.core.limits import MULTIPLE
from inkwash.core.request import GenerateRequest
from inkwash.prompt.quality import names_things

SMALLEST, LARGEST = 0.45, 2.1
"""Areas, as a part of the area a model was made for, between which pictures keep their composition."""

FEW, LOW_SCALE = 12, 3.0
"""Steps and CFG scale above which a distilled model is not used as it was made to be."""

SAFE_STRENGTH, SAFE_STRUCTURE = 0.3, 0.4
"""A redraw below the one, or that keeps as much as the other, puts no new things into tiles."""


def cautions(spec: ModelSpec, request: GenerateRequest) -> list[str]:
    """request: settled, its size that of the first pass."""
    found = [*_prediction(spec), *_family(spec, request), *_size(spec, request), *_few_steps(spec, request)]
    return [*found, *_tiles(request)]


def _prediction(spec: ModelSpec) -> Iterator[str]:
    if spec.unsure:
        other, sidecar = "eps" if spec.prediction == "v" else "v", spec.path.with_suffix(".yaml").name
        word = "epsilon" if other == "eps" else "v_prediction"
        yield (
            f"{spec.name} does not say what it predicts; {spec.prediction} was assumed.  If pictures are noise, draw "
            f"with the prediction {word}; to keep that, write into {sidecar} beside it: "
            f"model: {{params: {{parameterization: {other}}}}}"
        )


def _family(spec: ModelSpec, request: GenerateRequest) -> Iterator[str]:
    title = FAMILIES[spec.family].title
    if spec.family != "sd1" and request.clip_skip > 2:
        yield f"Clip skip {request.clip_skip} changes nothing: {title} always reads the last layer but one."
    if spec.family == "sdxl-refiner":
        yield f"{spec.name} is a refiner, made for the last steps of another model's picture."


def _size(spec: ModelSpec, request: GenerateRequest) -> Iterator[str]:
    native, width, height = spec.native_size, request.width or spec.native_size, request.height or spec.native_size
    if request.tiled is not None:  # the model sees tiles
        width, height = (
            min(side, tile * MULTIPLE)
            for side, tile in ((width, request.tiled.tile_width), (height, request.tiled.tile_height))
        )
    part = width * height / native**2
    if spec.low_res:  # what it enlarges has a composition already
        return
    if request.tiled is not None:
        part = min(part, LARGEST)  # tiles of 768 pixels are customary with models made for 512
    if not SMALLEST <= part <= LARGEST:
        fault = "washed-out or cut-off pictures" if part < SMALLEST else "doubled figures; draw smaller, then enlarge"
        yield f"{spec.name} was made for pictures of about {native}x{native}; {width}x{height} may give {fault}."


def _few_steps(spec: ModelSpec, request: GenerateRequest) -> Iterator[str]:
    if spec.few_steps and (request.steps > FEW or request.cfg_scale > LOW_SCALE):
        sampler = "; the sampler LCM suits it" if spec.few_steps == "LCM" else ""
        yield (
            f"{spec.name} seems to be a {spec.few_steps} model, made for 1 to 8 steps and a CFG scale of 1 to 2; "
            f"this is {request.steps} steps at {request.cfg_scale:g}{sampler}."
        )


def _tiles(request: GenerateRequest) -> Iterator[str]:
    """Every tile is drawn under the whole prompt, so what it names may appear in every tile."""
    drawn_over = request.init_image is not None
    held = drawn_over and (request.keep_structure or 0.0) >= SAFE_STRUCTURE
    gentle = drawn_over and (request.denoising_strength or 0.0) <= SAFE_STRENGTH
    in_regions = request.tiled is not None and bool(request.tiled.regions)
    if many_tiles(request) and names_things(request.prompt) and not (held or gentle or in_regions):
        remedy = "keep the structure or lower the strength" if drawn_over else "name things in regions"
        yield (
            "Every tile is drawn under the whole prompt, so what it names may appear in each of them.  Let the prompt "
            f"be words of quality (best quality, detailed), or {remedy}."
        )


def many_tiles(request: GenerateRequest) -> bool:
    """request: settled.  Whether a picture is seen in more than one tile; of SD upscale that is taken for granted."""
    if request.tiled is None or request.width is None or request.height is None:
        return request.sd_upscale is not None
    return request.width > request.tiled.tile_width * MULTIPLE or request.height > request.tiled.tile_height * MULTIPLE
