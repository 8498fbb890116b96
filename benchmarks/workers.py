"""The two systems that ``benchmarks/txt2img.py`` compares, each in a process of its own.

Arguments: system, model folder, pixels a side, steps, dtype.  Reads a command a line, answers a number a line.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

PROMPT, NEGATIVE = "a cute cat, best quality", "blurry"
BYTES = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss's unit


class System(Protocol):
    """What is measured."""

    def step(self) -> None:
        """One U-Net call of two rows."""

    def decode(self) -> None:
        """One picture's VAE pass."""

    def picture(self) -> None:
        """From words to a picture."""


class Inkwash:
    def __init__(self, model: Path, size: int, steps: int, dtype: str) -> None:
        import torch

        import inkwash

        self.engine = inkwash.Engine(models_dir=model.parent, dtype=dtype)
        self.request = inkwash.GenerateRequest(
            prompt=PROMPT, negative_prompt=NEGATIVE, seed=1, steps=steps, sampler="DDIM", cfg_scale=7.5, width=size,
            height=size, model=str(model),
        )  # fmt: skip
        self.model = self.engine.model(str(model))
        self.latents = torch.randn(2, 4, size // 8, size // 8)
        self.context = torch.randn(2, 77, self.model.spec.unet.context_width)

    def step(self) -> None:
        self.model.denoise(self.latents, [2.0, 2.0], self.context, None)

    def decode(self) -> None:
        self.model.decode(self.latents[0])

    def picture(self) -> None:
        self.engine.generate(self.request)


class Diffusers:
    """Its defaults: float32, eager.  The prompt's tokens are ours, because its tokenizer needs a download."""

    def __init__(self, model: Path, size: int, steps: int, dtype: str) -> None:
        import diffusers
        import torch
        from transformers import CLIPTextModel

        library: Any = diffusers
        self.size, self.steps = size, steps
        self.pipeline = library.StableDiffusionPipeline(
            vae=library.AutoencoderKL.from_pretrained(model / "vae"),
            text_encoder=CLIPTextModel.from_pretrained(model / "text_encoder"),
            tokenizer=None,
            unet=library.UNet2DConditionModel.from_pretrained(model / "unet"),
            scheduler=library.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.latents = torch.randn(2, 4, size // 8, size // 8)
        self.context = torch.randn(2, 77, self.pipeline.unet.config.cross_attention_dim)
        self.no_grad = torch.no_grad

    def step(self) -> None:
        with self.no_grad():
            self.pipeline.unet(self.latents, 500, encoder_hidden_states=self.context)

    def decode(self) -> None:
        with self.no_grad():
            self.pipeline.vae.decode(self.latents[:1])

    def picture(self) -> None:
        self.pipeline(
            prompt_embeds=self._embedded(PROMPT),
            negative_prompt_embeds=self._embedded(NEGATIVE),
            num_inference_steps=self.steps,
            guidance_scale=7.5,
            height=self.size,
            width=self.size,
        )

    def _embedded(self, text: str) -> Any:
        import torch

        from inkwash.prompt import load_tokenizer

        ids = load_tokenizer().encode(text)
        padded = [49406, *ids, *[49407] * (76 - len(ids))]
        with self.no_grad():
            return self.pipeline.text_encoder(torch.tensor([padded])).last_hidden_state


def main() -> None:
    name, model, size, steps, dtype = sys.argv[1:]
    kind = Inkwash if name == "inkwash" else Diffusers
    system: System = kind(Path(model), int(size), int(steps), dtype)
    commands: dict[str, Callable[[], float]] = {
        "ready": lambda: 0.0,
        "U-Net step": lambda: seconds(system.step),
        "VAE decode": lambda: seconds(system.decode),
        "picture": lambda: seconds(system.picture),
        "peak": peak_gigabytes,
    }
    for line in sys.stdin:
        print(json.dumps(commands[line.strip()]()), flush=True)


def seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_gigabytes() -> float:
    """The most memory this process has held, pages of mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 1e9


if __name__ == "__main__":
    main()
