"""The model card ``docs/box.md``: what the model is, its loss curves, the judge's figures, the gallery's prompts."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from .exam import GOALS
from .gallery import COLUMNS, PROMPTS
from .progress import read_log
from .settings import Settings
from .world.backgrounds import BACKGROUNDS
from .world.styles import STYLES
from .world.subjects import subjects

DOCS = Path("docs")
AIMS = {"judge's own accuracy subject": "0.97", "autoencoder PSNR dB": "26"}
CAVEATS = """The 500 prompts took no part in any choice about training; the blend of weights (recipes/box/README.md) was
chosen among four by the first 40 of the 200 prompts of "Two heads" below. The
judge looks at 64 pixels a side; how many figures a picture of twice the size holds is asked of the counter, below."""
STAGES = ("autoencoder", "text", "unet", "judge", "counter")


def write_card(settings: Settings) -> None:
    """Needs nothing but the logs; figures and gallery are left out where they were not made yet."""
    for stage in STAGES:
        curve(read_log(settings.paths.state / f"{stage}.jsonl"), stage)
    parts = [_what(settings), _figures(settings), _heads(settings), _tiles(settings), _curves(settings), _gallery()]
    card = "\n\n".join(filter(None, parts))
    (DOCS / "box.md").write_text(card + "\n", "utf-8")
    print(DOCS / "box.md")


def _what(settings: Settings) -> str:
    world = subjects(settings.world.subjects)
    names = ", ".join(f"{subject.english[0]} ({subject.chinese[0]})" for subject in world)
    return f"""# The model in the box

A Stable Diffusion 1.x model in miniature, trained from scratch by `recipes/box/` on pictures this project draws itself
with the Noto Color Emoji font (SIL Open Font License 1.1). It draws
{settings.world.side}x{settings.world.side} pictures: CFG 5 to 7, 20 steps.

- **Subjects**: {names}. Each can be called by its English and Chinese names or by the emoji itself.
- **Backgrounds**: {", ".join(BACKGROUNDS)}.
- **Styles**: {", ".join(name for name in STYLES if name != "plain")}.
- **Also**: two or three of a kind, two different subjects, colours ("a blue cat"), sizes and places.
- **Quality words are true**: "best quality, masterpiece, highres" and "worst quality, low quality, lowres, blurry,
  monochrome, jpeg artifacts" say how clean a picture is; other words mean nothing to it.

Remake this page and its pictures: `python -m recipes.box gallery`, `exam`, `heads`, `tiles`, `card`.

自带模型是一个微缩的 Stable Diffusion 1.x，由 `recipes/box/` 从零训练；
训练图片由本项目用 Noto Color Emoji 字体绘制。
尺寸 {settings.world.side}x{settings.world.side}，CFG 5 到 7，20 步。
提示词可用英文、中文或表情符号；质量词（best quality、worst quality 等）是真的，没学过的词不起作用。"""


def _figures(settings: Settings) -> str:
    path = settings.paths.state / "exam.json"
    if not path.exists():
        return ""
    report = json.loads(path.read_text("utf-8"))
    intro = f"500 prompts whose combinations never occurred in training, judged by a classifier; {report['model']}."
    lines = ["## Figures", "", intro, "", "| | measured | aim |", "|---|---|---|"]
    for title, found in report.items():
        inner = found.items() if isinstance(found, dict) else [("", found)]
        lines += [f"| {title}{': ' if name else ''}{name} | {value} | {_aim(title, name)} |" for name, value in inner]
    return "\n".join([*lines, "", CAVEATS])


def _heads(settings: Settings) -> str:
    """The table of ``heads.py``; docs/en/two-heads.md explains it."""
    path = settings.paths.state / "heads.json"
    if not path.exists():
        return ""
    found = json.loads(path.read_text("utf-8"))
    known = {
        f"{name}: {task}": value for name, own in found.items() if isinstance(own, dict) for task, value in own.items()
    }
    plain = {name: value for name, value in found.items() if not isinstance(value, dict)}
    rows = "\n".join(f"| {name} | {value} |" for name, value in (plain | known).items())
    intro = "Duplicated subjects at twice the native size ([why](en/two-heads.md), [中文](zh/two-heads.md))."
    return f"## Two heads\n\n{intro}\n\n| | |\n|---|---|\n{rows}"


def _tiles(settings: Settings) -> str:
    """The table of ``tiles.py``."""
    path = settings.paths.state / "tiles.json"
    if not path.exists():
        return ""
    rows = "\n".join(f"| {name} | {value} |" for name, value in json.loads(path.read_text("utf-8")).items())
    return f"## Subjects invented in tiles\n\n`inkwash enlarge --scale 4`.\n\n| | |\n|---|---|\n{rows}"


def _aim(title: str, name: str) -> str:
    return f"{GOALS[name]}" if title.startswith("right") and name in GOALS else AIMS.get(f"{title} {name}".strip(), "")


def _curves(settings: Settings) -> str:
    made = [stage for stage in STAGES if read_log(settings.paths.state / f"{stage}.jsonl")]
    return "## Training\n\n" + "\n".join(f"![loss of {stage}](box/{stage}.svg)" for stage in made)


def _gallery() -> str:
    if not (DOCS / "box/gallery.webp").exists():
        return ""
    rows = [PROMPTS[i : i + COLUMNS] for i in range(0, len(PROMPTS), COLUMNS)]
    listed = [" / ".join(f"`{' '.join(prompt.split())}`" for prompt, _ in row) for row in rows]
    told = "\n".join(f"{number}. {line}" for number, line in enumerate(listed, 1))
    pictures = "## Gallery\n\n![64 pictures](box/gallery.webp)"
    return f"{pictures}\n\nPrompts, row by row; the seed is the prompt's number, from 0:\n\n{told}"


def curve(log: list[dict[str, float]], name: str, width: int = 640, height: int = 240) -> None:
    """Write ``docs/box/NAME.svg``: the loss over pictures seen, averaged over at most 200 stretches."""
    points = [(entry["seen"], entry["loss"]) for entry in log if "loss" in entry]
    if not points:
        return
    stretch = max(1, len(points) // 200)
    groups = [points[i : i + stretch] for i in range(0, len(points), stretch)]
    means = [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
    most, low, high = max(x for x, _ in means), min(y for _, y in means), max(y for _, y in means)
    span = (high - low) or 1.0
    across, up = (width - 60) / most, (height - 50) / span
    path = " ".join(f"{50 + across * x:.1f},{20 + up * (high - y):.1f}" for x, y in means)
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
        f'<polyline points="{path}" fill="none" stroke="#346" stroke-width="1.5"/>'
        f'<g font-size="12"><text x="4" y="24">{high:.3g}</text><text x="4" y="{height - 30}">{low:.3g}</text>'
        f'<text x="50" y="{height - 8}">{escape(name)}: loss over {int(most):,} pictures seen</text></g></svg>\n'
    )
    target = DOCS / "box" / f"{name}.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
