"""Every field of a GenerateRequest as people meet it: label, help, range, choices, place in a form.

The page's form, the command line's help and the OpenAPI document are made from this one table.  Defaults come from the
dataclasses, ranges from ``core.limits``; a test holds the table complete.  Fields of a nested object have dotted names.
"""

from __future__ import annotations

import math

from inkwash.core.choices import AUTOMATIC, EMPHASIS, NOISE_SOURCES, PREDICTIONS
from inkwash.core.limits import MULTIPLE, Limits
from inkwash.core.parameter import NESTED, REGIONS, Group, Parameter, Text
from inkwash.core.parameters_edits import EDITING, HIRES, REFINING
from inkwash.core.parameters_tiles import REGION, TILES

__all__ = ["BY_NAME", "GROUPS", "PARAMETERS", "Parameter", "Text", "describe", "help_of", "json_schema"]

GROUPS: dict[Group, Text] = {
    "prompt": Text("Prompt", "提示词"),
    "picture": Text("Picture", "图片"),
    "model": Text("Model", "模型"),
    "seed": Text("Seed and noise", "种子与噪声"),
    "sampling": Text("Sampling", "采样"),
    "guidance": Text("Guidance", "引导"),
    "hires": Text("Hires fix", "高清修复"),
    "edit": Text("Picture to picture", "图生图"),
    "tiles": Text("Tiles and enlarging", "分块与放大"),
}

_DRAWING: tuple[Parameter, ...] = (
    Parameter(
        "prompt", "text", "prompt", Text("Prompt", "提示词"),
        Text("What the picture shows; (word:1.2) stresses, [word] plays down.",
             "图片的内容；(词:1.2) 加强，[词] 减弱。"),
        basic=True,
    ),
    Parameter(
        "negative_prompt", "text", "prompt", Text("Negative prompt", "反向提示词"),
        Text("What it should not show.", "不希望出现的内容。"), basic=True,
    ),
    Parameter(
        "styles", "list", "prompt", Text("Styles", "风格"),
        Text("Names of styles in styles.csv, put around the prompt one after another.",
             "styles.csv 里的风格名，依次套用到提示词上。"),
        source="styles",
    ),
    Parameter(
        "width", "integer", "picture", Text("Width", "宽度"),
        Text(f"Pixels, a multiple of {MULTIPLE}; by default the model's own.",
             f"像素，{MULTIPLE} 的倍数；默认用模型自己的尺寸。"),
        basic=True, step=64,
    ),
    Parameter(
        "height", "integer", "picture", Text("Height", "高度"),
        Text(f"Pixels, a multiple of {MULTIPLE}; by default the model's own.",
             f"像素，{MULTIPLE} 的倍数；默认用模型自己的尺寸。"),
        basic=True, step=64,
    ),
    Parameter(
        "batch_count", "integer", "picture", Text("How many", "数量"),
        Text("Batches, one after another.", "批次数，一批接一批地画。"), basic=True, step=1,
    ),
    Parameter(
        "batch_size", "integer", "picture", Text("Batch size", "每批数量"),
        Text("Pictures drawn side by side; takes more memory.", "同时画的图片数；更占内存。"), step=1,
    ),
    Parameter(
        "tiling", "boolean", "picture", Text("Tiling", "无缝平铺"),
        Text("Edges wrap around, for textures.", "边缘首尾相接，用于纹理。"),
    ),
    Parameter(
        "restore_faces", "choice", "picture", Text("Restore faces", "面部修复"),
        Text("By GFPGAN, CodeFormer, RestoreFormer, a file's name, or Automatic; by default faces stay as drawn.",
             "用 GFPGAN、CodeFormer、RestoreFormer、某个文件的名称或 Automatic；默认不修复。"),
        choices=(AUTOMATIC,), source="face restorers",
    ),
    Parameter(
        "codeformer_weight", "number", "picture", Text("CodeFormer weight", "CodeFormer 权重"),
        Text("0 restores faces most, 1 keeps them closest to what was drawn.", "0 修复最强，1 最接近原画。"), step=0.05,
    ),
    Parameter(
        "model", "choice", "model", Text("Model", "模型"),
        Text("Name or hash of a checkpoint, on the command line also its path; by default the model in the box.",
             "模型的名称或哈希，命令行里也可以是路径；默认用自带模型。"),
        source="models",
    ),
    Parameter(
        "vae", "choice", "model", Text("VAE", "VAE"),
        Text("Name of a separate VAE, on the command line also its path; by default the one inside the model.",
             "另外的 VAE 的名称，命令行里也可以是路径；默认用模型自带的。"),
        source="vaes",
    ),
    Parameter(
        "prediction", "choice", "model", Text("Prediction", "预测类型"),
        Text("What the model predicts, where its file does not say it or says it wrong; by default as the file says.",
             "模型预测的内容，用于文件没有说明或说错的情况；默认按文件。"),
        choices=PREDICTIONS,
    ),
    Parameter(
        "ema", "boolean", "model", Text("EMA weights", "EMA 权重"),
        Text("Of a file that carries both, the averaged copy of the U-Net instead of its plain weights.",
             "文件同时含有两份时，用 U-Net 的平均（EMA）副本代替普通权重。"),
    ),
    Parameter(
        "clip_skip", "integer", "model", Text("Clip skip", "Clip 跳过层"),
        Text("1: the text encoder's last layer; 2: stop one layer before it, as many anime models want.",
             "1：用文本编码器的最后一层；2：提前一层停止，许多动漫模型需要。"),
        step=1,
    ),
    Parameter(
        "emphasis", "choice", "model", Text("Emphasis", "权重方式"),
        Text(f"How stress acts: {', '.join(EMPHASIS)}.", f"括号权重的作用方式：{'、'.join(EMPHASIS)}。"),
        choices=EMPHASIS,
    ),
    Parameter(
        "strict", "boolean", "model", Text("Strict", "严格模式"),
        Text("Bit-identical in any grouping, or quicker; by default strict on a CPU, quick on a GPU.",
             "无论怎样分组，结果逐位相同；关闭则更快。默认 CPU 严格，GPU 快速。"),
    ),
    Parameter(
        "vae_tiles.enabled", "boolean", "model", Text("VAE tiles", "VAE 分块"),
        Text("Decode and encode in tiles whatever the size; by default only where memory wants it.",
             "无论尺寸都分块编解码；默认只在内存不够时才分块。"),
    ),
    Parameter(
        "vae_tiles.decoder_tile", "integer", "model", Text("Decoder tile", "解码块大小"),
        Text("Latent pixels a side (8 picture pixels each); smaller takes less memory, the picture is the same.",
             "每边的潜空间像素数（每个等于 8 个图片像素）；越小越省内存，画面不变。"),
        step=8,
    ),
    Parameter(
        "vae_tiles.encoder_tile", "integer", "model", Text("Encoder tile", "编码块大小"),
        Text("Picture pixels a side; smaller takes less memory, the picture is the same.",
             "每边的图片像素数；越小越省内存，画面不变。"),
        step=64,
    ),
    Parameter(
        "vae_tiles.fast", "boolean", "model", Text("Fast VAE tiles", "快速 VAE 分块"),
        Text("Norms from samples of the picture: less memory, near but not equal; by default above 2048x2048.",
             "归一化统计量取自画面的样本：更省内存，结果相近而不完全相同；默认超过 2048x2048 时才用。"),
    ),
    Parameter(
        "seed", "integer", "seed", Text("Seed", "种子"),
        Text("The same seed draws the same picture; -1: a random one.", "相同的种子画出相同的图；-1 为随机。"),
        basic=True, step=1,
    ),
    Parameter(
        "subseed", "integer", "seed", Text("Variation seed", "变异种子"),
        Text("The seed that the picture is varied towards; -1: a random one.",
             "图片变化所朝向的种子；-1 为随机。"), step=1,
    ),
    Parameter(
        "subseed_strength", "number", "seed", Text("Variation strength", "变异强度"),
        Text("0: the seed alone, 1: the variation seed alone.", "0：只用种子，1：只用变异种子。"), step=0.01,
    ),
    Parameter(
        "seed_resize_from_w", "integer", "seed", Text("Resize seed from width", "种子原宽度"),
        Text("Keep the composition that the seed had at this width; 0: off.",
             "保持该种子在此宽度下的构图；0 为关闭。"), step=8,
    ),
    Parameter(
        "seed_resize_from_h", "integer", "seed", Text("Resize seed from height", "种子原高度"),
        Text("Keep the composition that the seed had at this height; 0: off.",
             "保持该种子在此高度下的构图；0 为关闭。"), step=8,
    ),
    Parameter(
        "noise_source", "choice", "seed", Text("Random numbers", "随机数来源"),
        Text(f"Whose random numbers: {', '.join(NOISE_SOURCES)}.", f"随机数的来源：{'、'.join(NOISE_SOURCES)}。"),
        choices=NOISE_SOURCES,
    ),
    Parameter(
        "ensd", "integer", "seed", Text("Noise seed delta", "噪声种子偏移"),
        Text("A1111's eta noise seed delta.", "即 A1111 的 ENSD（eta noise seed delta）。"), step=1,
    ),
    Parameter(
        "steps", "integer", "sampling", Text("Steps", "步数"),
        Text("Sampling steps; more take longer, past 30 they rarely help.",
             "采样步数；越多越慢，超过 30 通常没有帮助。"),
        basic=True, step=1,
    ),
    Parameter(
        "sampler", "choice", "sampling", Text("Sampler", "采样器"),
        Text("The method that takes the noise away step by step.", "逐步去除噪声的方法。"), source="samplers",
    ),
    Parameter(
        "schedule", "choice", "sampling", Text("Schedule", "噪声调度"),
        Text("How the noise levels are spread over the steps.", "噪声强度在各步之间的分布。"), source="schedules",
    ),
    Parameter(
        "sigmas", "list", "sampling", Text("Noise levels", "噪声序列"),
        Text("Noise levels of your own, descending; instead of steps and schedule.",
             "自定的递减噪声序列；代替步数和调度。"),
    ),
    Parameter(
        "sigma_min", "number", "sampling", Text("Lowest sigma", "最小 sigma"),
        Text("Lowest sigma; by default the model's.", "最小 sigma；默认由模型决定。"), step=0.01,
    ),
    Parameter(
        "sigma_max", "number", "sampling", Text("Highest sigma", "最大 sigma"),
        Text("Highest sigma; by default the model's.", "最大 sigma；默认由模型决定。"), step=0.1,
    ),
    Parameter(
        "rho", "number", "sampling", Text("Rho", "Rho"),
        Text("Bend of Karras and Polyexponential.", "Karras 与 Polyexponential 曲线的弯曲程度。"), step=0.1,
    ),
    Parameter(
        "discard_penultimate_sigma", "boolean", "sampling", Text("Discard penultimate sigma", "舍弃倒数第二个 sigma"),
        Text("Leave out the last but one noise level; default: by sampler.",
             "略去倒数第二个噪声值；默认由采样器决定。"),
    ),
    Parameter(
        "eta", "number", "sampling", Text("Eta", "Eta"),
        Text("Fresh noise a step; default: by sampler.", "每步加入的新噪声；默认由采样器决定。"), step=0.01,
    ),
    Parameter(
        "s_churn", "number", "sampling", Text("Churn", "搅动量"),
        Text("Churn of Euler, Heun, DPM2.", "Euler、Heun、DPM2 的搅动量。"), step=0.1,
    ),
    Parameter(
        "s_tmin", "number", "sampling", Text("Churn from", "搅动下限"),
        Text("Churn from this sigma.", "从这个 sigma 起搅动。"), step=0.01,
    ),
    Parameter(
        "s_tmax", "number", "sampling", Text("Churn up to", "搅动上限"),
        Text("Churn up to this sigma; by default without end.", "搅动到这个 sigma 为止；默认不限。"), step=0.1,
    ),
    Parameter(
        "s_noise", "number", "sampling", Text("Noise scale", "噪声倍率"),
        Text("Scale of added noise.", "所加噪声的倍率。"), step=0.001,
    ),
    Parameter(
        "cfg_scale", "number", "guidance", Text("CFG scale", "引导强度"),
        Text("How strictly the prompt is followed.", "对提示词的遵循程度。"), step=0.5,
    ),
    Parameter(
        "cfg_rescale", "number", "guidance", Text("CFG rescale", "引导校正"),
        Text("0 to 1: against washed-out colours of high CFG.", "0 到 1：减轻高引导强度造成的失真色彩。"), step=0.05,
    ),
    Parameter(
        "guidance_start", "number", "guidance", Text("Guidance from", "引导开始"),
        Text("Fraction of the steps where guidance begins.", "从总步数的这个比例起开始引导。"), step=0.01,
    ),
    Parameter(
        "guidance_end", "number", "guidance", Text("Guidance until", "引导结束"),
        Text("Fraction of the steps where guidance ends.", "到总步数的这个比例时停止引导。"), step=0.01,
    ),
    Parameter(
        "ngms", "number", "guidance", Text("Negative guidance minimum sigma", "负向引导最小 sigma"),
        Text("Below this sigma every other step skips the negative prompt.",
             "低于此 sigma 时，每隔一步略过反向提示词。"), step=0.1,
    ),
    Parameter(
        "ngms_all_steps", "boolean", "guidance", Text("Skip it every step", "每步都略过"),
        Text("Below that sigma every step, not every other.", "低于该 sigma 时每一步都略过，而不是隔一步。"),
    ),
    Parameter(
        "skip_early_cfg", "number", "guidance", Text("Skip early guidance", "略过早期引导"),
        Text("Fraction of the first steps without guidance.", "开头这个比例的步数不加引导。"), step=0.01,
    ),
)  # fmt: skip
PARAMETERS = (*_DRAWING, *REFINING, *HIRES, *EDITING, *TILES)
BY_NAME = {parameter.name: parameter for parameter in (*PARAMETERS, *REGION)}


def help_of(name: str) -> str:
    """The English help text of a field, for the command line."""
    return BY_NAME[name].help.en


def describe(limits: Limits) -> list[dict[str, object]]:
    """The table as the page reads it."""
    return [_describe(parameter, limits) for parameter in PARAMETERS]


def json_schema(limits: Limits) -> dict[str, object]:
    """JSON Schema of a GenerateRequest, for the OpenAPI document."""
    properties: dict[str, object] = {
        parameter.name: _schema(parameter, limits) for parameter in PARAMETERS if "." not in parameter.name
    }
    return _object(
        properties | {name: {**_object(_inner(name, limits)), "type": ["object", "null"]} for name in NESTED}
    )


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _inner(name: str, limits: Limits) -> dict[str, object]:
    """The properties of a nested object."""
    inside = [parameter for parameter in BY_NAME.values() if parameter.name.rpartition(".")[0] == name]
    return {parameter.name.removeprefix(f"{name}."): _schema(parameter, limits) for parameter in inside}


def _describe(parameter: Parameter, limits: Limits) -> dict[str, object]:
    lowest, highest = parameter.range(limits)
    described: dict[str, object] = {
        "name": parameter.name,
        "kind": parameter.kind,
        "default": _plain(parameter.default),
        "minimum": lowest,
        "maximum": highest,
        "step": parameter.step,
        "choices": None if parameter.choices is None else list(parameter.choices),
        "source": parameter.source,
        "group": parameter.group,
        "level": "basic" if parameter.basic else "advanced",
        "label": {"en": parameter.label.en, "zh": parameter.label.zh},
        "help": {"en": parameter.help.en, "zh": parameter.help.zh},
    }
    if parameter.name == REGIONS:
        described["fields"] = [_describe(field, limits) for field in REGION]
    return described


def _schema(parameter: Parameter, limits: Limits) -> dict[str, object]:
    types = {
        "text": ["string"], "choice": ["string"], "list": ["array"], "regions": ["array"],
        "image": ["object", "string"],
    }  # fmt: skip
    schema: dict[str, object] = {
        "type": [*types.get(parameter.kind, [parameter.kind]), "null"],  # null: the default
        "default": _plain(parameter.default),
        "title": parameter.label.en,
        "description": parameter.help.en,
    }
    lowest, highest = parameter.range(limits)
    if lowest is not None:
        schema["minimum"] = lowest
    if highest is not None:
        schema["maximum"] = highest
    if parameter.kind == "list":
        schema["items"] = {"type": "string" if parameter.source else "number"}
    if parameter.name == REGIONS:
        schema["items"] = _object(_inner(REGIONS, limits))
    if parameter.choices and not parameter.source:
        schema["enum"] = [*parameter.choices, None]
    return schema


def _plain(value: object) -> object:
    """A default as JSON has it: no tuples, and null for what has no end."""
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and math.isinf(value) else value
