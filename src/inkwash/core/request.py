"""What a person asks for and what they get back.  Plain frozen data: no tensors, no globals, no defaults elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


Emphasis = Literal["Original", "No norm", "Ignore", "None"]
NoiseSource = Literal["CPU", "GPU", "NV"]


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

    tiling: bool = False  # edges wrap around, for textures
    strict: bool | None = None  # bit-identical however pictures are grouped; None: True on CPUs, False on GPUs


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
