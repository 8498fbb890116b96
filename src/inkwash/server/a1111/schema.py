"""What A1111's clients send.  Unknown fields are ignored and null means the default, as they expect."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Seed = Annotated[int, Field(ge=-(2**63), lt=2**64)]
Name = Annotated[str, Field(max_length=1000)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class Drawing(Lenient):
    """What txt2img and img2img have in common."""

    prompt: str = ""
    negative_prompt: str = ""
    styles: list[Name] | None = Field(None, max_length=100)
    seed: Seed = -1
    subseed: Seed = -1
    subseed_strength: float = 0
    seed_resize_from_h: Whole = -1
    seed_resize_from_w: Whole = -1
    sampler_name: Name | None = None
    scheduler: Name | None = None
    sampler_index: Name = "Euler"
    batch_size: Whole = 1
    n_iter: Whole = 1
    steps: Whole = 50
    cfg_scale: float = 7.0
    width: Whole = 512
    height: Whole = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = None
    denoising_strength: float | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, JsonValue] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Name | None = None
    refiner_switch_at: float | None = None
    disable_extra_networks: bool = False
    firstpass_image: str | None = None
    comments: dict[str, JsonValue] | None = None
    script_name: Name | None = None
    script_args: list[JsonValue] = []
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[str, JsonValue] = {}
    force_task_id: Annotated[str, Field(max_length=200)] | None = None
    infotext: str | None = None


class Txt2Img(Drawing):
    enable_hr: bool = False
    denoising_strength: float | None = 0.75
    firstphase_width: Whole = 0
    firstphase_height: Whole = 0
    hr_scale: float = 2.0
    hr_upscaler: Name | None = None
    hr_second_pass_steps: Whole = 0
    hr_resize_x: Whole = 0
    hr_resize_y: Whole = 0
    hr_checkpoint_name: Name | None = None
    hr_sampler_name: Name | None = None
    hr_scheduler: Name | None = None
    hr_prompt: str = ""
    hr_negative_prompt: str = ""


class Img2Img(Drawing):
    init_images: list[str] | None = None
    resize_mode: Whole = 0
    denoising_strength: float | None = 0.75
    image_cfg_scale: float | None = None
    mask: str | None = None
    mask_blur_x: Whole = 4
    mask_blur_y: Whole = 4
    mask_blur: Whole | None = None
    mask_round: bool = True
    inpainting_fill: Whole = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: Whole = 0
    inpainting_mask_invert: Whole = 0
    initial_noise_multiplier: float | None = None
    latent_mask: str | None = None
    include_init_images: bool = False


class PngInfo(Lenient):
    image: str


class Interrogate(Lenient):
    image: str = ""
    model: Name = "clip"


class Extras(Lenient):
    resize_mode: Annotated[int, Field(ge=0, le=1)] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    codeformer_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    codeformer_weight: Annotated[float, Field(ge=0, le=1)] = 0
    upscaling_resize: float = 2
    upscaling_resize_w: Whole = 512
    upscaling_resize_h: Whole = 512
    upscaling_crop: bool = True
    upscaler_1: Name = "None"
    upscaler_2: Name = "None"
    extras_upscaler_2_visibility: Annotated[float, Field(ge=0, le=1)] = 0
    upscale_first: bool = False


class ExtraSingle(Extras):
    image: str = ""


class NamedPicture(Lenient):
    data: str
    name: Name


class ExtraBatch(Extras):
    imageList: list[NamedPicture]


class Progress(Lenient):
    """One task asked for by its own id."""

    id_task: Annotated[str, Field(max_length=200)] | None = None
    id_live_preview: Whole = -1
    live_preview: bool = True


class Detect(Lenient):
    controlnet_module: Name = "none"
    controlnet_input_images: list[str] = []
    controlnet_images: list[str] = []
    controlnet_processor_res: Whole = 512
    controlnet_threshold_a: float = -1
    controlnet_threshold_b: float = -1
    controlnet_masks: list[str] = []
    low_vram: bool = False


class Poses(Lenient):
    poses: list[JsonValue] = []


class Training(Lenient):
    """create/ and train/: what A1111's page would send, which depends on the kind; taken as it is."""

    model_config = ConfigDict(extra="allow")
    name: Name | None = None
