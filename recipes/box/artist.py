"""Who draws prompts for the exam, as any user does, and has the pictures judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkwash.core.request import GenerateRequest
from inkwash.generation.engine import Engine

from .judge import load_judge
from .progress import device, to_pixels
from .settings import Settings


class Artist:
    """Draws prompts through the engine as any user does, and has them judged."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.engine, self.judge = settings, Engine(), load_judge(settings)

    def request(
        self, prompt: str, seed: int, negative: str = "", cfg: float | None = None, side: int | None = None
    ) -> GenerateRequest:
        own, side = self.settings.judge, side or self.settings.world.side
        return GenerateRequest(
            prompt=prompt, negative_prompt=negative, seed=seed, steps=own.steps, sampler=own.sampler, width=side,
            height=side, cfg_scale=own.cfg_scale if cfg is None else cfg, model=str(self.settings.paths.model),
        )  # fmt: skip

    def draw(self, requests: Sequence[GenerateRequest]) -> list[NDArray[np.uint8]]:
        """Side by side, which changes none of them."""
        return [np.asarray(result.images[0].convert("RGB")) for result in self.engine.generate_all(requests)]

    def said(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """The judge's answers, (pictures, questions)."""
        return self.judge.say(to_pixels(torch.from_numpy(np.stack(pictures))).to(device())).cpu()
