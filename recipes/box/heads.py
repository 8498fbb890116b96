"""The two-heads study: duplicated subjects at twice the native size, drawn directly and by hires fix."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inkwash.core.request import GenerateRequest, HiresPass

from .artist import Artist
from .counter import counter_accuracy, load_counter
from .gallery import DOCS
from .progress import device, to_pixels
from .questions import Question, exam_questions
from .settings import Settings
from .world.subjects import subjects

PROMPTS = 200
STRENGTHS = (0.3, 0.5, 0.7)
SHOWN = 8  # pictures a row of the sheet


def study_heads(settings: Settings) -> None:
    """Write ``heads.json`` beside the states and ``docs/box/heads.webp``: one row drawn directly, one a strength."""
    artist, counter = Artist(settings), load_counter(settings)
    plain = [artist.request(question.prompt, seed) for seed, question in enumerate(single_subjects(settings))]
    ways = {"directly": [at_twice(request) for request in plain]}
    ways |= {f"hires, strength {strength}": [refined(request, strength) for request in plain] for strength in STRENGTHS}
    report: dict[str, object] = {"prompts": len(plain), "counter's own accuracy": counter_accuracy(settings)}
    rows = []
    for way, requests in ways.items():
        pictures = artist.draw(requests)
        figures = counter.count(to_pixels(torch.from_numpy(np.stack(pictures))).to(device()))
        report[f"{way}: percent with more than one figure"] = round(100 * (figures > 1).float().mean().item(), 1)
        rows.append(pictures[:SHOWN])
        print(way, report[f"{way}: percent with more than one figure"], flush=True)
    (settings.paths.state / "heads.json").write_text(json.dumps(report, indent=1), "utf-8")
    sheet(rows).save(DOCS / "heads.webp", quality=72, method=6)


def single_subjects(settings: Settings) -> list[Question]:
    """The exam's questions that ask for one figure, English and Chinese."""
    asked = exam_questions(subjects(settings.world.subjects))
    return [question for question in asked if question.kind in ("background", "chinese")][-PROMPTS:]


def at_twice(request: GenerateRequest) -> GenerateRequest:
    assert request.width is not None
    return dataclasses.replace(request, width=request.width * 2, height=request.width * 2)


def refined(request: GenerateRequest, strength: float) -> GenerateRequest:
    return dataclasses.replace(request, hires=HiresPass(scale=2.0, denoising_strength=strength, upscaler="Lanczos"))


def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], side: int = 128) -> Image.Image:
    """Rows of pictures as one, each ``side`` pixels."""
    page = Image.new("RGB", (side * max(map(len, rows)), side * len(rows)))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
            page.paste(small, (x * side, y * side))
    return page
