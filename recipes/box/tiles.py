"""Hallucinated subjects: pictures of one figure, enlarged four times and redrawn in tiles, counted again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inkwash.core.request import GenerateRequest
from inkwash.generation.enlarging import Target, plan_enlarging, request_of

from .artist import Artist
from .counter import Counter, load_counter
from .heads import single_subjects
from .progress import device, to_pixels
from .settings import Settings

PICTURES = 20
SCALE = 4.0
STRENGTHS = (0.2, 0.35, 0.5)  # 0.35 is the default of ``inkwash enlarge``
KEPT = 0.75  # its default of ``keep_structure``


def study_tiles(settings: Settings) -> None:
    """Write ``tiles.json`` beside the states: percent of enlarged pictures that hold more than one figure."""
    artist, counter = Artist(settings), load_counter(settings)
    asked = [artist.request(question.prompt, seed) for seed, question in enumerate(single_subjects(settings))]
    small = artist.engine.generate_all(asked[: 2 * PICTURES])
    drawn = [(result.images[0].convert("RGB"), result.infotexts[0]) for result in small]
    alone = counted(counter, [np.asarray(picture) for picture, _ in drawn]) == 1
    chosen = [one for one, single in zip(drawn, alone.tolist(), strict=True) if single][:PICTURES]
    report: dict[str, object] = {"pictures of one figure, enlarged four times": len(chosen)}
    for strength, whole in [*((strength, False) for strength in STRENGTHS), (0.35, True)]:
        large = [np.asarray(enlarged(artist, picture, text, strength, whole)) for picture, text in chosen]
        share = round(100 * (counted(counter, large) > 1).float().mean().item(), 1)
        told = ", each tile told the whole prompt" if whole else ""
        report[f"strength {strength}{told}: percent with more than one figure"] = share
        print(strength, whole, share, flush=True)
        (settings.paths.state / "tiles.json").write_text(json.dumps(report, indent=1), "utf-8")


def enlarged(artist: Artist, picture: Image.Image, text: str, strength: float, whole: bool) -> Image.Image:
    """As ``inkwash enlarge --scale 4`` does it.  whole: tiles are told what the picture shows, too."""
    base = dataclasses.replace(
        request_of(text, whole_prompt=whole), denoising_strength=strength, keep_structure=KEPT,
        model=str(artist.settings.paths.model),
    )  # fmt: skip
    engine = artist.engine
    spec, dtype = engine.model(base.model).spec, engine.compute.dtype
    (one,) = plan_enlarging(
        base, picture.size, Target(scale=SCALE, upscaler="Lanczos"), spec, dtype, engine.stock.free()
    )
    request: GenerateRequest = one.over(picture)
    return engine.generate(request).images[0].convert("RGB")


def counted(counter: Counter, pictures: list[NDArray[np.uint8]]) -> Tensor:
    return counter.count(to_pixels(torch.from_numpy(np.stack(pictures))).to(device())).cpu()
