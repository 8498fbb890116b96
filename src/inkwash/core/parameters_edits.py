"""The part of the table for pictures made from pictures: refiner, second pass, source, mask."""

from __future__ import annotations

from inkwash.core.choices import INPAINTING_FILLS, RESIZE_MODES, UPSCALERS
from inkwash.core.parameter import Parameter, Text

REFINING: tuple[Parameter, ...] = (
    Parameter(
        "refiner", "choice", "model", Text("Refiner", "精修模型"),
        Text("A checkpoint that takes over near the end.", "在最后阶段接手的模型。"), source="models",
    ),
    Parameter(
        "refiner_switch_at", "number", "model", Text("Refiner takes over at", "精修接手时刻"),
        Text("The fraction of the steps after which the refiner takes over.", "过了总步数的这个比例，由精修模型接手。"),
        step=0.01,
    ),
)  # fmt: skip

HIRES: tuple[Parameter, ...] = (
    Parameter(
        "hires.enabled", "boolean", "hires", Text("Second pass", "第二遍"),
        Text("Enlarge the finished picture and draw on at the larger size.", "把画好的图放大，在大尺寸上接着画。"),
        basic=True,
    ),
    Parameter(
        "hires.scale", "number", "hires", Text("Scale", "放大倍数"),
        Text("Times the first size, unless a width or height is given.",
             "相对第一遍尺寸的倍数；给定宽或高时不起作用。"),
        basic=True, step=0.05,
    ),
    Parameter(
        "hires.upscaler", "choice", "hires", Text("Upscaler", "放大方式"),
        Text("How it is enlarged; the Latent ones need a strength above 0.5.",
             "用什么方法放大；Latent 一类需要 0.5 以上的重绘强度。"),
        basic=True, choices=UPSCALERS, source="upscalers",
    ),
    Parameter(
        "hires.denoising_strength", "number", "hires", Text("Denoising strength", "重绘强度"),
        Text("0: only enlarge, 1: keep nothing of the first pass.", "0：只放大，1：完全不保留第一遍的内容。"),
        basic=True, step=0.01,
    ),
    Parameter(
        "hires.steps", "integer", "hires", Text("Steps", "步数"),
        Text("Steps of the second pass; 0: as many as the first.", "第二遍的步数；0：与第一遍相同。"), step=1,
    ),
    Parameter(
        "hires.width", "integer", "hires", Text("Width", "宽度"),
        Text("Exact width; alone it keeps the proportions, 0: by scale.",
             "准确的宽度；只给一边时保持比例，0：按倍数。"),
        step=8,
    ),
    Parameter(
        "hires.height", "integer", "hires", Text("Height", "高度"),
        Text("Exact height; alone it keeps the proportions, 0: by scale.",
             "准确的高度；只给一边时保持比例，0：按倍数。"),
        step=8,
    ),
    Parameter(
        "hires.sampler", "choice", "hires", Text("Sampler", "采样器"),
        Text("By default the first pass's.", "默认与第一遍相同。"), source="samplers",
    ),
    Parameter(
        "hires.schedule", "choice", "hires", Text("Schedule", "噪声调度"),
        Text("By default the first pass's.", "默认与第一遍相同。"), source="schedules",
    ),
    Parameter(
        "hires.model", "choice", "hires", Text("Model", "模型"),
        Text("By default the first pass's.", "默认与第一遍相同。"), source="models",
    ),
    Parameter(
        "hires.prompt", "text", "hires", Text("Prompt", "提示词"),
        Text("By default the first pass's.", "默认与第一遍相同。"),
    ),
    Parameter(
        "hires.negative_prompt", "text", "hires", Text("Negative prompt", "反向提示词"),
        Text("By default the first pass's.", "默认与第一遍相同。"),
    ),
)  # fmt: skip

_SOURCE: tuple[Parameter, ...] = (
    Parameter(
        "init_image", "image", "edit", Text("Picture", "图片"),
        Text("The picture to start from.", "作为起点的图片。"), basic=True,
    ),
    Parameter(
        "resize_mode", "choice", "edit", Text("Resize mode", "缩放方式"),
        Text("How the picture is fitted to width and height.", "怎样让图片合乎宽和高。"), choices=RESIZE_MODES,
    ),
    Parameter(
        "denoising_strength", "number", "edit", Text("Denoising strength", "重绘强度"),
        Text("0 returns the picture, 1 keeps nothing of it.", "0：原样返回，1：完全不保留。"), basic=True, step=0.01,
    ),
    Parameter(
        "exact_steps", "boolean", "edit", Text("All the steps", "画满步数"),
        Text("All the steps, not the strength's share.", "画满全部步数，而不是按强度折算。"),
    ),
    Parameter(
        "initial_noise_multiplier", "number", "edit", Text("Noise multiplier", "噪声倍数"),
        Text("On the noise laid over the picture.", "叠加在图片上的噪声的倍数。"), step=0.01,
    ),
    Parameter(
        "color_correction", "boolean", "edit", Text("Colour correction", "颜色校正"),
        Text("Give the result the picture's colours.", "让结果保持原图的颜色。"),
    ),
    Parameter(
        "noise_level", "integer", "edit", Text("Noise over the small picture", "小图上的噪声"),
        Text("For the x4 upscaler, 0 to 350: more invents more.", "用于 x4 放大模型，0 到 350：越大，新添的内容越多。"),
        step=5,
    ),
    Parameter(
        "depth", "image", "edit", Text("Depth map", "深度图"),
        Text("Depth map for a depth model: grey, near is bright.", "给深度模型用的深度图：灰度，近处亮。"),
    ),
)  # fmt: skip

_MASK: tuple[Parameter, ...] = (
    Parameter(
        "mask", "image", "edit", Text("Mask", "蒙版"),
        Text("White is redrawn, black comes back as it was.", "白色部分重画，黑色部分原样保留。"), basic=True,
    ),
    Parameter(
        "mask_invert", "boolean", "edit", Text("Invert the mask", "反转蒙版"),
        Text("Black is redrawn.", "重画黑色部分。"),
    ),
    Parameter(
        "mask_blur", "number", "edit", Text("Mask blur", "蒙版羽化"),
        Text("Pixels over which the new fades in, inside the mask.", "新内容在蒙版内侧渐入的像素数。"), step=1,
    ),
    Parameter(
        "mask_blur_y", "number", "edit", Text("Mask blur downwards", "纵向羽化"),
        Text("By default as across.", "默认与横向相同。"), step=1,
    ),
    Parameter(
        "mask_round", "boolean", "edit", Text("Black and white mask", "黑白蒙版"),
        Text("Off: greys of the mask mix old and new.", "关闭后，蒙版的灰度决定新旧内容的混合。"),
    ),
    Parameter(
        "latent_mask", "image", "edit", Text("Latent mask", "潜空间蒙版"),
        Text("What is redrawn, where it is not the mask.", "实际重画的区域，与贴回用的蒙版不同时使用。"),
    ),
    Parameter(
        "inpainting_fill", "choice", "edit", Text("Masked content", "蒙版内容"),
        Text("What the masked part starts from.", "蒙版部分以什么为起点。"), choices=INPAINTING_FILLS,
    ),
    Parameter(
        "only_masked", "boolean", "edit", Text("Only masked", "仅蒙版区域"),
        Text("Draw only the mask's surroundings, at full size.", "只画蒙版周围，用完整尺寸画好再贴回。"),
    ),
    Parameter(
        "only_masked_padding", "integer", "edit", Text("Padding", "周边留白"),
        Text("Pixels of surroundings.", "连同周围多少像素。"), step=4,
    ),
    Parameter(
        "soft_inpainting.enabled", "boolean", "edit", Text("Soft inpainting", "柔和重绘"),
        Text("Greys of the mask mix old and new.", "蒙版的灰度决定新旧内容的混合。"),
    ),
    Parameter(
        "soft_inpainting.schedule_bias", "number", "edit", Text("Schedule bias", "进程偏向"),
        Text("Above 1 the old picture leads early.", "大于 1 时前期以原图为主。"), step=0.1,
    ),
    Parameter(
        "soft_inpainting.preservation_strength", "number", "edit", Text("Preservation strength", "保留强度"),
        Text("How much of the old is kept.", "原图保留多少。"), step=0.05,
    ),
    Parameter(
        "soft_inpainting.transition_contrast", "number", "edit", Text("Transition contrast", "过渡对比度"),
        Text("Contrast of mixtures.", "混合处的对比度。"), step=0.5,
    ),
    Parameter(
        "soft_inpainting.mask_influence", "number", "edit", Text("Mask influence", "蒙版影响"),
        Text("How much the mask decides the pasting.", "贴回时蒙版起多大作用。"), step=0.05,
    ),
    Parameter(
        "soft_inpainting.difference_threshold", "number", "edit", Text("Difference threshold", "差异阈值"),
        Text("What counts as changed.", "多大的差异算作变化。"), step=0.25,
    ),
    Parameter(
        "soft_inpainting.difference_contrast", "number", "edit", Text("Difference contrast", "差异对比度"),
        Text("How sharply.", "变化与否的分界有多分明。"), step=0.25,
    ),
)  # fmt: skip

EDITING = (*_SOURCE, *_MASK)
