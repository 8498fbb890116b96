"""What a person asks for and what they get back.  Plain frozen data: no tensors, no globals, no defaults elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


Emphasis = Literal["Original", "No norm", "Ignore", "None"]
NoiseSource = Literal["CPU", "GPU", "NV"]
InpaintingFill = Literal["fill", "original", "latent noise", "latent nothing"]
Prediction = Literal["epsilon", "v_prediction", "sample"]
ResizeMode = Literal["just resize", "crop and resize", "resize and fill", "latent"]
TileMethod = Literal["MultiDiffusion", "Mixture of Diffusers"]
RegionBlend = Literal["Background", "Foreground"]


@dataclass(frozen=True, kw_only=True)
class HiresPass:
    """The second pass of "hires fix": the finished first pass is enlarged, noised again and drawn on.

    What is empty, 0 or None is as in the first pass.  width, height: pixels; one alone keeps the proportions, both
    cover the size and cut what stands over.  upscaler: a name of ``inkwash.core.choices.UPSCALERS``, or of a
    learned one's file.
    """

    scale: float = 2.0  # of the first pass's size, unless width or height is given
    width: int = 0
    height: int = 0
    upscaler: str = "Latent"
    denoising_strength: float = 0.5
    steps: int = 0
    sampler: str | None = None
    schedule: str | None = None
    prompt: str = ""
    negative_prompt: str = ""
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class SoftInpainting:
    """How a grey mask mixes old and new: A1111's "soft inpainting", with its names and defaults.

    The share of the new picture is mask ** (preservation_strength * sigma ** schedule_bias).
    """

    schedule_bias: float = 1.0  # above 1: the old picture leads early, the new one late
    preservation_strength: float = 0.5  # of the old picture's share
    transition_contrast: float = 4.0  # above 1: mixed latents keep the contrast of the stronger one
    mask_influence: float = 0.0  # how much the mask, beside the difference, decides what is pasted
    difference_threshold: float = 0.5  # how far latents must have moved for a place to count as new
    difference_contrast: float = 2.0  # how sharply


@dataclass(frozen=True, kw_only=True)
class VaeTiles:
    """How the autoencoder is run in tiles.  Their size decides memory and time, not what comes out.

    A tile is an area: exact ones are bands of the picture's full width with as many pixels.
    """

    encoder_tile: int = 1024  # pixels a side
    decoder_tile: int = 96  # latent pixels a side
    fast: bool | None = None  # norms' statistics from samples of the picture: near, not equal; None: above 2048x2048


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of the picture with a prompt of its own, put behind the request's.

    x, y, w, h: its corner, width and height as fractions of the picture.  "Background" regions are averaged with
    whatever else is drawn there, "Foreground" ones are laid over it.
    """

    x: float = 0.4
    y: float = 0.4
    w: float = 0.2
    h: float = 0.2
    prompt: str = ""
    negative_prompt: str = ""
    blend: RegionBlend = "Background"
    feather_ratio: float = 0.2  # of half the shorter side: how far a foreground region fades in from its edge
    weight: float = 1.0  # beside the other regions of its kind, and beside the tiles, which count 1
    seed: int = -1  # of the noise it starts from; negative: the picture's own noise


@dataclass(frozen=True, kw_only=True)
class TiledDiffusion:
    """The U-Net sees the picture in overlapping tiles, whose predictions are mixed at every step.

    MultiDiffusion (arXiv:2302.08113) takes their mean; Mixture of Diffusers (arXiv:2302.02412) trusts a tile's middle
    more than its edge.  Sizes are in latent pixels, 8 of the picture's; 0: of the size the model was made for.
    """

    method: TileMethod = "MultiDiffusion"
    tile_width: int = 96
    tile_height: int = 96
    overlap: int = 48
    tile_batch: int = 4  # tiles of one U-Net call
    upscaler: str | None = None  # enlarges init_image first; a name of ``PICTURE_UPSCALERS``, or of a file
    scale: float = 2.0  # how many times, with an upscaler
    regions: tuple[Region, ...] = ()
    draw_background: bool = True  # False: no tiles where there are regions, which must then cover the picture


@dataclass(frozen=True, kw_only=True)
class NoiseInversion:
    """init_image starts from the noise that leads back to it, found by walking the sampler's way backwards.

    Where the picture has details, fresh noise takes that noise's place.
    """

    steps: int = 10
    retouch: float = 1.0  # above 1 the way back assumes less noise than there is, which leaves more to draw
    renoise_strength: float = 1.0  # of the fresh noise; 0: none
    renoise_kernel: int = 64  # pixels around a place in which details are looked for


@dataclass(frozen=True, kw_only=True)
class SDUpscale:
    """init_image is enlarged, then redrawn tile by tile at the request's width x height (None: the model's own)."""

    upscaler: str = "Lanczos"  # a name of ``inkwash.core.choices.PICTURE_UPSCALERS``, or of a file
    scale: float = 2.0
    overlap: int = 64  # pixels over which neighbouring tiles fade into one another


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One request for pictures: everything that decides their pixels, and nothing else.

    Sizes are in pixels, multiples of 8.  ``None`` means "the model's (or sampler's) own".  Names of samplers and
    schedules are A1111's; see ``inkwash.diffusion.SAMPLERS`` and ``SCHEDULES``.
    """

    prompt: str = ""
    negative_prompt: str = ""
    styles: tuple[str, ...] = ()

    model: str | None = None  # title, file stem, short hash or path; None: the model in the box
    vae: str | None = None  # name or path; None or "Automatic": the one inside the model file
    prediction: Prediction | None = None  # what ``model`` predicts, whatever its file says; None: as the file says
    ema: bool = False  # of a file that carries both: the U-Net's EMA copy instead of its plain weights
    clip_skip: int = 1  # 1 = last layer of the text encoder, 2 = the one before, ...
    emphasis: Emphasis = "Original"

    width: int | None = None
    height: int | None = None
    batch_size: int = 1  # pictures drawn side by side
    batch_count: int = 1  # batches drawn one after another

    seed: int = -1  # -1: a random one, reported in the result
    subseed: int = -1  # the variation seed
    subseed_strength: float = 0.0  # 0 = seed only .. 1 = subseed only
    seed_resize_from_w: int = 0  # 0 or less: off
    seed_resize_from_h: int = 0
    noise_source: NoiseSource = "CPU"
    ensd: int = 0  # A1111's "eta noise seed delta", added to the seeds of the noise inside the sampler

    steps: int = 20
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"
    sigmas: tuple[float, ...] | None = None  # an explicit noise schedule; overrides steps and schedule
    sigma_min: float | None = None
    sigma_max: float | None = None
    rho: float | None = None  # Karras and polyexponential
    discard_penultimate_sigma: bool | None = None
    eta: float | None = None  # None: the sampler's own (1 for ancestral and SDE samplers, 0 for DDIM)
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = float("inf")
    s_noise: float = 1.0

    cfg_scale: float = 7.0  # 0 = unconditional, 1 = no unconditional row
    cfg_rescale: float = 0.0  # phi of arXiv:2305.08891, 0..1
    guidance_start: float = 0.0  # guidance acts between these fractions of the steps (arXiv:2404.07724)
    guidance_end: float = 1.0
    ngms: float = 0.0  # "negative guidance minimum sigma": below it every other step drops the unconditional row
    ngms_all_steps: bool = False
    skip_early_cfg: float = 0.0  # fraction of the first steps drawn without guidance

    init_image: Image | None = None  # the picture to start from; None: from noise alone
    # Enlarged by the x4 upscaler: to width x height, by default to four times its size, always from noise alone.
    resize_mode: ResizeMode = "just resize"  # how init_image (and mask) is fitted to width x height
    denoising_strength: float | None = 0.75  # 0 returns init_image, 1 keeps nothing of it; None: 0.75
    exact_steps: bool = False  # draw exactly ``steps`` steps, not the share of them the strength leaves
    initial_noise_multiplier: float = 1.0  # on the noise laid over init_image
    color_correction: bool = False  # give the result init_image's colours
    noise_level: int = 20  # for the x4 upscaler: noise over init_image, 0..350; more invents more
    depth: Image | None = None  # for depth models: grey, near is bright, of init_image's size

    mask: Image | None = None  # of init_image's size: white is redrawn, black comes back bit for bit
    mask_invert: bool = False
    mask_blur: float = 4.0  # pixels over which the redrawn fades in, inside the mask
    mask_blur_y: float | None = None  # of them downwards; None: as many as across
    mask_round: bool = True  # greys of the mask count as black or white; False: they mix old and new
    latent_mask: Image | None = None  # what is redrawn, where that is more or less than ``mask``, which is pasted
    inpainting_fill: InpaintingFill = "original"  # what the masked part starts from
    only_masked: bool = False  # draw only the mask's surroundings, at full size, and paste them back
    only_masked_padding: int = 32  # pixels of surroundings
    soft_inpainting: SoftInpainting | None = None

    tiled: TiledDiffusion | None = None  # for pictures larger than the model was made for
    noise_inversion: NoiseInversion | None = None
    sd_upscale: SDUpscale | None = None
    keep_structure: float | None = None  # 0..1: the low frequencies of what is drawn over stay; None: see ``prepare``

    hires: HiresPass | None = None
    refiner: str | None = None  # a model that takes over ...
    refiner_switch_at: float = 0.8  # ... after this fraction of the steps

    restore_faces: str | None = None  # the face restorer's name, "Automatic": the best there is; None: none
    codeformer_weight: float = 0.5  # of that one restorer: 0 restores most, 1 stays closest to what was drawn

    tiling: bool = False  # edges wrap around, for textures
    strict: bool | None = None  # bit-identical however pictures are grouped; None: True on CPUs, False on GPUs
    vae_tiles: VaeTiles | None = None  # None: tiles where memory wants them, fast ones above 2048x2048


@dataclass(frozen=True, kw_only=True)
class Result:
    """Finished pictures, in order: batch 0's pictures, batch 1's, ..."""

    images: list[Image]
    infotexts: list[str]  # A1111 "parameters" text of each picture; reproduces it
    seeds: list[int]
    subseeds: list[int]
    latents: torch.Tensor  # (B, 4, H/8, W/8) float32, the U-Net's space: before division by the VAE's scale factor
    request: GenerateRequest  # as drawn: every None and -1 replaced by what was used
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)  # prompt advice and the like, for people
