"""A job and one of its pictures -> the run that draws it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from inkwash.core.errors import Enough, InkwashError
from inkwash.core.masks import flattened
from inkwash.core.progress import Decoding, Drawn, Progress, Step
from inkwash.core.resizing import Size, scaled
from inkwash.diffusion.noise import PictureNoise
from inkwash.generation.canvas import Canvas, canvas_of, drawing_size, enlarged
from inkwash.generation.conditioning import TextSettings
from inkwash.generation.job import Job, Picture
from inkwash.generation.latents import Source, source_of
from inkwash.generation.pictures import as_image
from inkwash.generation.refine import enlarge, second_pass
from inkwash.generation.regions import box_of
from inkwash.generation.run import Decode, Encode, Enlarge, RestoreFaces, Run
from inkwash.generation.sd_upscale import Mosaic, tile_by_tile
from inkwash.generation.structure import RADIUS, held
from inkwash.generation.tasks import Drawing, RegionWish, Sampling, Watch, Wishes, img2img, txt2img, upscale
from inkwash.generation.wording import Wording
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.prompt import parse_networks


class EndedEarly(Exception):
    """Leaves a picture's run with what was seen in it last.  denoised: (4, h, w), of that pass's model and size."""

    def __init__(self, model: StableDiffusion, denoised: Tensor, step: int) -> None:
        super().__init__(step)
        self.model = model
        self.denoised = denoised
        self.step = step


@dataclass(frozen=True, eq=False)
class Made:
    """A picture and its latents, (4, h, w) float32 on the CPU.  step: at which it was ended early, if it was."""

    latents: Tensor
    image: Image.Image
    step: int | None = None


@dataclass(frozen=True, eq=False)
class Finish:
    """What one picture's run returns."""

    latents: Tensor  # (4, h, w) float32 on the CPU
    image: Image.Image
    infotext: str


def draw(job: Job, picture: Picture, text: str, tell: Progress) -> Run[Finish]:
    """The whole of one picture, from its prompt to its pixels.  text: its infotext.

    Ended early, it is decoded as the model sees it by then, at the size of the pass under way, and its text says so.
    """
    made = yield from (drawn(job, picture, tell) if job.mosaic is None else upscaled(job, job.mosaic, picture, tell))
    text = text if made.step is None else f"{text}, Ended at step: {made.step}"
    tell(Drawn(picture.index, len(job.pictures), made.image, text, picture.seed, made.step))
    return Finish(made.latents, made.image, text)


def drawn(job: Job, picture: Picture, tell: Progress) -> Run[Made]:
    """The picture at once."""
    canvas = yield from _canvas(job)
    try:
        drawing, model, step = (yield from passes(job, picture, canvas, tell)), job.last_model, None
    except EndedEarly as early:
        drawing, model, step = Drawing(early.denoised), early.model, early.step
    _check_finite(drawing.latents, picture)
    tell(Decoding(picture.index, len(job.pictures)))
    decoded: Tensor = yield Decode(model, drawing.latents)
    image = yield from _with_faces(job, as_image(_in_its_colours(job, canvas, decoded)))
    if canvas is not None:
        image = canvas.finish(image, None if drawing.moved is None else as_image(drawing.moved.cpu()))
    return Made(drawing.latents.cpu(), image, step)


def upscaled(job: Job, mosaic: Mosaic, picture: Picture, tell: Progress) -> Run[Made]:
    """SD upscale.  Each tile has the next seed, as in A1111; ended early, those to come stay as they were enlarged."""
    assert job.request.init_image is not None
    assert job.source_upscaler is not None
    large: Image.Image = yield Enlarge(job.source_upscaler, flattened(job.request.init_image), mosaic.size)
    steps, ended = len(job.sampling.sigmas) - 1, list[int]()

    def one(number: int, pixels: Image.Image) -> Run[Tensor]:
        own = dataclasses.replace(picture, seed=picture.seed + number)
        source = source_of(Canvas(pixels), job.request)
        if ended:
            encoded: Tensor = yield Encode(job.model, source.picture)
            return encoded
        wishes, noise = wishes_of(job, picture, picture.wording), noise_of(job, own, mosaic.tile)
        watch = _watch(job, picture, tell, job.model, job.sampling, number * steps)
        try:
            drawing = yield from img2img(job.model, wishes, job.sampling, source, noise, watch, job.refiner)
        except EndedEarly as early:
            ended.append(early.step)
            drawing = Drawing(early.denoised)
        _check_finite(drawing.latents, picture)
        return drawing.latents

    latents, whole = yield from tile_by_tile(job.model, mosaic, large, one, job.request.keep_structure or 0.0)
    tell(Decoding(picture.index, len(job.pictures)))
    colours = large if job.request.color_correction else None
    image = Canvas(large, colours=colours).finish((yield from _with_faces(job, as_image(whole))))
    return Made(latents, image, ended[0] if ended else None)


def _in_its_colours(job: Job, canvas: Canvas | None, decoded: Tensor) -> Tensor:
    """Where structure is kept, the picture takes its source's colours, too, unless a second pass enlarged it."""
    kept, size = job.request.keep_structure, (decoded.shape[2], decoded.shape[1])
    if canvas is None or not kept or canvas.picture.size != size:
        return decoded
    return held(decoded, canvas.picture, kept, RADIUS * job.model.latent_factor)


def _with_faces(job: Job, image: Image.Image) -> Run[Image.Image]:
    return image if job.faces is None else (yield RestoreFaces(job.faces, image))


def _canvas(job: Job) -> Run[Canvas | None]:
    """What is drawn on; the picture it shows is enlarged first, where that is asked for."""
    tiled, image = job.request.tiled, job.request.init_image
    if job.source_upscaler is None or tiled is None or image is None:
        return job.canvas
    large: Image.Image = yield Enlarge(job.source_upscaler, flattened(image), scaled(image.size, tiled.scale))
    depth = None if job.canvas is None else job.canvas.depth
    return canvas_of(enlarged(job.request, large), job.model.enlarges, depth)


def _check_finite(latents: Tensor, picture: Picture) -> None:
    if not bool(torch.isfinite(latents).all()):
        raise InkwashError(
            f"Picture {picture.index + 1} turned into numbers that are not finite (NaN) and cannot be shown.",
            "Use float32 (--dtype float32), a lower CFG scale or another sampler; if it stays, the file is damaged.",
        )


def passes(job: Job, picture: Picture, canvas: Canvas | None, tell: Progress) -> Run[Drawing]:
    """The first pass, and the second where there is one.  Raises EndedEarly."""
    source = source_of(canvas, job.request) if canvas else None
    drawing = yield from first_pass(job, picture, source, tell)
    if job.enlarging is None:
        return drawing
    original = yield from enlarge(job.model, drawing.latents, job.enlarging)
    latents = yield from second_pass(
        job.enlarging,
        original,
        wishes_of(job, picture, picture.hires_wording or picture.wording),
        source,
        noise_of(job, picture, job.enlarging.size),
        _watch(job, picture, tell, job.enlarging.model, job.enlarging.sampling, job.steps[0]),
        job.refiner,
    )
    return dataclasses.replace(drawing, latents=latents)


def first_pass(job: Job, picture: Picture, source: Source | None, tell: Progress) -> Run[Drawing]:
    """From noise, or from a picture."""
    wishes, noise = wishes_of(job, picture, picture.wording), noise_of(job, picture, drawing_size(job.request))
    watch = _watch(job, picture, tell, job.model, job.sampling, 0)
    refiner = None if job.enlarging else job.refiner
    if source is not None and job.model.spec.low_res is not None:
        level = job.request.noise_level
        return Drawing((yield from upscale(job.model, wishes, job.sampling, source, level, noise, watch)))
    if source is not None:
        return (yield from img2img(job.model, wishes, job.sampling, source, noise, watch, refiner))
    return Drawing((yield from txt2img(job.model, wishes, job.sampling, noise, watch, refiner)))


def wishes_of(job: Job, picture: Picture, wording: Wording) -> Wishes:
    """wording: of the pass; what a region is to show is put behind it."""
    settings = TextSettings(job.request.clip_skip, job.request.emphasis)
    regions = tuple(
        RegionWish(
            region,
            _joined(wording.prompt, parse_networks(region.prompt)[0]),
            _joined(wording.negative_prompt, region.negative_prompt),
        )
        for region in picture.regions
    )
    return Wishes(wording.prompt, wording.negative_prompt, settings, regions)


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


def noise_of(job: Job, picture: Picture, size: Size) -> PictureNoise:
    """Every random number of a picture's pass of that size, decided by the request and the picture's seeds alone."""
    side = job.model.latent_factor
    shape = job.model.spec.vae.latent_channels, size[1] // side, size[0] // side
    patches = []
    for region in picture.regions:
        if region.seed >= 0:
            box = box_of(region, (shape[1], shape[2]))
            own = _noise(job, (shape[0], box.height, box.width), region.seed, region.seed, resized=False)
            patches.append((box, own.initial()))
    return _noise(job, shape, picture.seed, picture.subseed, resized=True).patched(patches)


def _noise(job: Job, shape: tuple[int, int, int], seed: int, subseed: int, *, resized: bool) -> PictureNoise:
    request, side = job.request, job.model.latent_factor
    resized = resized and request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0
    return PictureNoise(
        shape,
        seed,
        source=request.noise_source,
        device=job.model.device,
        subseed=subseed,
        subseed_strength=request.subseed_strength,
        seed_resize=(request.seed_resize_from_h // side, request.seed_resize_from_w // side) if resized else None,
        ensd=request.ensd,
    )


def _watch(
    job: Job, picture: Picture, tell: Progress, model: StableDiffusion, sampling: Sampling, before: int
) -> Watch:
    """Turn U-Net calls into steps: a second-order sampler makes two calls a step, only the first is told.

    before: steps that were drawn by the first pass.  Raises EndedEarly where the callback has Enough.
    """
    steps = len(sampling.sigmas) - 1
    calls_a_step = sampling.calls // max(steps, 1)

    def watch(call: int, x: Tensor, sigma: float, denoised: Tensor) -> None:
        if call % calls_a_step:
            return
        step = before + min(call // calls_a_step + 1, steps)
        seen = lambda: as_image(model.decode(denoised))  # noqa: E731
        try:
            tell(Step(picture.index, len(job.pictures), step, sum(job.steps), sigma, x, denoised, seen))
        except Enough as enough:
            raise EndedEarly(model, denoised, step) from enough

    return watch
