"""The stand-in's table of parameters: enough of every kind for the page's form."""

from __future__ import annotations

from typing import Any

from inkwash.core.choices import SAMPLERS, SCHEDULES


def parameter(
    name: str, kind: str, default: Any, group: str, label: tuple[str, str], help: tuple[str, str], *, level: str = "advanced",
    span: tuple[float, float, float] | None = None, choices: list[str] | None = None, source: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    minimum, maximum, step = span or (None, None, None)
    return {
        "name": name, "kind": kind, "default": default, "group": group, "level": level,
        "minimum": minimum, "maximum": maximum, "step": step, "choices": choices, "source": source,
        "label": dict(zip(("en", "zh"), label, strict=True)), "help": dict(zip(("en", "zh"), help, strict=True)),
    }  # fmt: skip


PARAMETERS = [
    parameter("prompt", "text", "", "prompt", ("Prompt", "提示词"), ("What to draw.", "画什么。"), level="basic"),
    parameter("negative_prompt", "text", "", "prompt", ("Negative prompt", "反向提示词"),
              ("What to keep out.", "不要画什么。"), level="basic"),
    parameter("styles", "list", [], "prompt", ("Styles", "风格"), ("Saved prompts.", "保存的提示词。"), source="styles"),
    parameter("model", "choice", None, "model", ("Model", "模型"), ("Which model draws.", "用哪个模型。"), source="models"),
    parameter("sampler", "choice", "DPM++ 2M", "sampling", ("Sampler", "采样器"),
              ("How the noise is taken away, step by step.", "逐步去除噪声的方法。"), source="samplers"),
    parameter("schedule", "choice", "Automatic", "sampling", ("Schedule", "调度"),
              ("How much noise is left at each step.", "每一步还剩多少噪声。"), source="schedules"),
    parameter("steps", "integer", 20, "sampling", ("Steps", "步数"),
              ("More steps are slower and, up to about 30, better.", "步数越多越慢；大约 30 步以内会更好。"),
              level="basic", span=(1, 150, 1)),
    parameter("width", "integer", None, "size", ("Width", "宽度"), ("In pixels.", "像素。"), level="basic", span=(8, 4096, 8)),
    parameter("height", "integer", None, "size", ("Height", "高度"), ("In pixels.", "像素。"), level="basic", span=(8, 4096, 8)),
    parameter("batch_count", "integer", 1, "size", ("Batches", "批次数"),
              ("How many batches are drawn, one after another.", "一批接一批，共画多少批。"), level="basic", span=(1, 100, 1)),
    parameter("batch_size", "integer", 1, "size", ("In a batch", "每批张数"),
              ("How many pictures are drawn side by side.", "同时画多少张。"), level="basic", span=(1, 16, 1)),
    parameter("cfg_scale", "number", 7.0, "guidance", ("CFG scale", "CFG 引导强度"),
              ("How closely the picture follows the prompt.", "画面在多大程度上听从提示词。"), span=(0, 30, 0.5)),
    parameter("seed", "integer", -1, "seed", ("Seed", "种子"),
              ("The number the noise is made from: the same seed is the same picture.", "生成噪声的数字：种子相同，画面相同。"),
              level="basic", span=(-1, 2**32 - 1, 1)),
    parameter("hires.scale", "number", 1.0, "hires", ("Enlarge by", "放大倍数"),
              ("Draw small first, then enlarge and draw on.", "先画小图，放大后继续画。"), span=(1, 4, 0.05)),
    parameter("hires.steps", "integer", 0, "hires", ("Hires steps", "高清步数"),
              ("0: as many as in the first pass.", "0：与第一遍相同。"), span=(0, 150, 1)),
    parameter("hires.denoising_strength", "number", 0.7, "hires", ("Denoising strength", "重绘幅度"),
              ("How much may change.", "允许改变多少。"), span=(0, 1, 0.05)),
    parameter("subseed", "integer", -1, "seed", ("Variation seed", "变化种子"), ("A second seed.", "第二个种子。")),
    parameter("subseed_strength", "number", 0.0, "seed", ("Variation strength", "变化强度"),
              ("0: the first seed only; 1: the second only.", "0：只用第一个种子；1：只用第二个。"), span=(0, 1, 0.01)),
    parameter("eta", "number", None, "sampling", ("Eta", "Eta"), ("Fresh noise at each step.", "每一步加入的新噪声。")),
    parameter("clip_skip", "integer", 1, "prompt", ("Clip skip", "Clip skip"),
              ("Which layer of the text encoder is read.", "读取文本编码器的哪一层。"), span=(1, 12, 1)),
    parameter("emphasis", "choice", "Original", "prompt", ("Emphasis", "加权方式"),
              ("How weights act.", "权重如何起作用。"), choices=["Original", "No norm", "Ignore", "None"]),
    parameter("cfg_rescale", "number", 0.0, "guidance", ("CFG rescale", "CFG 重缩放"),
              ("Against pictures that are too harsh.", "减轻画面过艳。"), span=(0, 1, 0.05)),
    parameter("tiling", "boolean", False, "other", ("Tiling", "无缝平铺"), ("Edges meet, for textures.", "四边可以拼接，用于纹理。")),
]  # fmt: skip
GROUPS = {
    "prompt": ("Prompt", "提示词"), "model": ("Model", "模型"), "sampling": ("Sampling", "采样"), "size": ("Size", "尺寸"),
    "guidance": ("Guidance", "引导"), "seed": ("Seed and noise", "种子与噪声"), "hires": ("Hires. fix", "高清修复"),
    "other": ("Everything else", "其他"),
}  # fmt: skip
SCHEMA = {
    "parameters": PARAMETERS,
    "groups": [{"name": name, "label": {"en": en, "zh": zh}} for name, (en, zh) in GROUPS.items()],
    "samplers": list(SAMPLERS),
    "schedules": list(SCHEDULES),
}
NAMES = {one["name"].split(".")[0] for one in PARAMETERS}
