"""The stand-in's table of parameters: the program's own, and some that nest, as a second pass has them."""

from __future__ import annotations

from typing import Any

from inkwash.core import choices, parameters
from inkwash.core.limits import Limits


def second_pass(name: str, default: float, maximum: float, step: float, en: str, zh: str) -> dict[str, Any]:
    return {
        "name": f"hires.{name}", "kind": "number", "default": default, "group": "hires", "level": "advanced",
        "minimum": 0, "maximum": maximum, "step": step, "choices": None, "source": None,
        "label": {"en": en, "zh": zh}, "help": {"en": "Of the second pass.", "zh": "第二遍的设置。"},
    }  # fmt: skip


HIRES = [
    second_pass("scale", 1.0, 4, 0.05, "Enlarge by", "放大倍数"),
    second_pass("steps", 0, 150, 1, "Hires steps", "高清步数"),
    second_pass("denoising_strength", 0.7, 1, 0.05, "Denoising strength", "重绘幅度"),
]
GROUPS = [{"name": name, "label": {"en": text.en, "zh": text.zh}} for name, text in parameters.GROUPS.items()]
SCHEMA = {
    "parameters": [*(one for one in parameters.describe(Limits())), *HIRES],
    "groups": [*GROUPS, {"name": "hires", "label": {"en": "Hires. fix", "zh": "高清修复"}}],
    "samplers": list(choices.SAMPLERS),
    "schedules": list(choices.SCHEDULES),
}
NAMES = {*parameters.BY_NAME, "hires"}
