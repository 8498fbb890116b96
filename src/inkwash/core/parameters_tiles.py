"""The part of the table for pictures drawn in tiles: tiled diffusion, its regions, noise inversion, SD upscale."""

from __future__ import annotations

from collections.abc import Sequence

from inkwash.core.choices import PICTURE_UPSCALERS, REGION_BLENDS, TILE_METHODS
from inkwash.core.parameter import REGIONS, Kind, Parameter, Source, Text


def _tiles(
    name: str,
    kind: Kind,
    label: tuple[str, str],
    help: tuple[str, str],
    *,
    step: float | None = None,
    choices: Sequence[str] | None = None,
    source: Source | None = None,
) -> Parameter:
    """A field of this group."""
    chosen = None if choices is None else tuple(choices)
    return Parameter(name, kind, "tiles", Text(*label), Text(*help), step=step, choices=chosen, source=source)


_TILED: tuple[Parameter, ...] = (
    _tiles(
        "tiled.enabled", "boolean", ("Tiled diffusion", "分块扩散"),
        ("Draw in overlapping tiles, for pictures larger than the model was made for.",
         "用互相重叠的分块来画，用于比模型训练尺寸更大的图。"),
    ),
    _tiles(
        "tiled.method", "choice", ("Method", "混合方式"),
        ("MultiDiffusion takes the tiles' mean, Mixture of Diffusers trusts their middles more.",
         "MultiDiffusion 取各块的平均；Mixture of Diffusers 更相信每块的中间。"), choices=TILE_METHODS,
    ),
    _tiles(
        "tiled.tile_width", "integer", ("Tile width", "块宽"),
        ("Latent pixels, 8 of the picture's each; 0: the model's own size.",
         "以潜空间像素计，一个等于图上 8 像素；0：模型自己的尺寸。"),
        step=8,
    ),
    _tiles(
        "tiled.tile_height", "integer", ("Tile height", "块高"),
        ("Latent pixels, 8 of the picture's each; 0: the model's own size.",
         "以潜空间像素计，一个等于图上 8 像素；0：模型自己的尺寸。"),
        step=8,
    ),
    _tiles(
        "tiled.overlap", "integer", ("Overlap", "重叠"),
        ("Latent pixels that neighbours share; more is smoother and slower.",
         "相邻两块共有的潜空间像素；越多越平滑，也越慢。"),
        step=4,
    ),
    _tiles(
        "tiled.tile_batch", "integer", ("Tiles at once", "同时画的块数"),
        ("Tiles of one U-Net call; more take more memory.", "一次 U-Net 调用里的块数；越多越占内存。"), step=1,
    ),
    _tiles(
        "tiled.upscaler", "choice", ("Enlarge first by", "先放大"),
        ("What enlarges the picture to start from; by default nothing.", "先用什么放大作为起点的图；默认不放大。"),
        choices=PICTURE_UPSCALERS, source="upscalers",
    ),
    _tiles(
        "tiled.scale", "number", ("How many times", "放大倍数"),
        ("Times the picture's size, with an upscaler.", "相对原图的倍数；选了放大方式才起作用。"), step=0.05,
    ),
    _tiles(
        REGIONS, "regions", ("Regions", "区域"),
        ("Rectangles with prompts of their own, put behind the request's.",
         "有自己提示词的矩形；提示词接在主提示词之后。"),
    ),
    _tiles(
        "tiled.draw_background", "boolean", ("Draw the background", "画背景"),
        ("Tiles under the regions too; without them the regions must cover the picture.",
         "区域之下也画分块；关闭时，各区域必须盖满整张图。"),
    ),
)  # fmt: skip

REGION: tuple[Parameter, ...] = (
    _tiles(
        f"{REGIONS}.x", "number", ("Left", "左"),
        ("Left edge, as a fraction of the width.", "左边缘，占宽度的比例。"), step=0.01,
    ),
    _tiles(
        f"{REGIONS}.y", "number", ("Top", "上"),
        ("Top edge, as a fraction of the height.", "上边缘，占高度的比例。"), step=0.01,
    ),
    _tiles(
        f"{REGIONS}.w", "number", ("Width", "宽"),
        ("As a fraction of the picture's.", "占图片宽度的比例。"), step=0.01,
    ),
    _tiles(
        f"{REGIONS}.h", "number", ("Height", "高"),
        ("As a fraction of the picture's.", "占图片高度的比例。"), step=0.01,
    ),
    _tiles(f"{REGIONS}.prompt", "text", ("Prompt", "提示词"), ("What is there.", "这里的内容。")),
    _tiles(
        f"{REGIONS}.negative_prompt", "text", ("Negative prompt", "反向提示词"),
        ("What should not be there.", "这里不希望出现的内容。"),
    ),
    _tiles(
        f"{REGIONS}.blend", "choice", ("Kind", "类型"),
        ("A background is averaged with the rest, a foreground lies over it.",
         "Background 与其余部分平均，Foreground 盖在上面。"),
        choices=REGION_BLENDS,
    ),
    _tiles(
        f"{REGIONS}.feather_ratio", "number", ("Feather", "羽化"),
        ("How far a foreground fades in, of half its shorter side.",
         "前景从边缘渐入的宽度，占短边一半的比例。"), step=0.01,
    ),
    _tiles(
        f"{REGIONS}.weight", "number", ("Weight", "权重"),
        ("Beside the other regions there.", "与同处其他区域相比的分量。"), step=0.1,
    ),
    _tiles(
        f"{REGIONS}.seed", "integer", ("Seed", "种子"),
        ("Of the noise it starts from; -1: the picture's own.", "起始噪声的种子；-1：用整张图的。"), step=1,
    ),
)  # fmt: skip

_INVERSION: tuple[Parameter, ...] = (
    _tiles(
        "noise_inversion.enabled", "boolean", ("Noise inversion", "噪声反演"),
        ("Start from the noise that leads back to the picture.", "从能还原原图的噪声开始。"),
    ),
    _tiles(
        "noise_inversion.steps", "integer", ("Inversion steps", "反演步数"),
        ("Steps of the way back to that noise.", "反演噪声所用的步数。"), step=1,
    ),
    _tiles(
        "noise_inversion.retouch", "number", ("Retouch", "修饰"),
        ("Above 1 more is drawn anew.", "大于 1 时重画得更多。"), step=0.1,
    ),
    _tiles(
        "noise_inversion.renoise_strength", "number", ("Renoise strength", "重铺噪声强度"),
        ("Fresh noise where the picture has details; 0: none.", "在有细节处铺上新噪声；0：不铺。"), step=0.01,
    ),
    _tiles(
        "noise_inversion.renoise_kernel", "integer", ("Renoise kernel", "重铺噪声范围"),
        ("Pixels around a place in which details are looked for.", "在周围多少像素内寻找细节。"), step=2,
    ),
)  # fmt: skip

_SD_UPSCALE: tuple[Parameter, ...] = (
    _tiles(
        "sd_upscale.enabled", "boolean", ("SD upscale", "SD 放大"),
        ("Enlarge the picture, then redraw it tile by tile of width x height.",
         "放大图片，再按 宽×高 一块一块地重画。"),
    ),
    _tiles(
        "sd_upscale.upscaler", "choice", ("Upscaler", "放大方式"),
        ("What enlarges it.", "用什么方法放大。"), choices=PICTURE_UPSCALERS,
        source="upscalers",
    ),
    _tiles(
        "sd_upscale.scale", "number", ("Scale", "放大倍数"),
        ("Times the picture's size.", "相对原图的倍数。"), step=0.05,
    ),
    _tiles(
        "sd_upscale.overlap", "integer", ("Overlap", "重叠"),
        ("Pixels over which neighbouring tiles fade into one another.", "相邻两块互相过渡的像素数。"), step=8,
    ),
    _tiles(
        "keep_structure", "number", ("Keep structure", "保持结构"),
        ("0 to 1: hold what is large in the picture; default 0.75 for SD upscale, else 0.",
         "0 到 1：保持原图中的大结构；SD 放大默认 0.75，其他默认 0。"), step=0.05,
    ),
)  # fmt: skip

TILES = (*_TILED, *_INVERSION, *_SD_UPSCALE)
