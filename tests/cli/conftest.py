"""An engine that draws flat pictures at once, so that the command line can be tried without a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from inkwash.core import infotext
from inkwash.core.progress import Decoding, Drawn, Event, Loading, Progress, Started, Step
from inkwash.core.request import GenerateRequest, Result
from inkwash.core.settings import Memory


@dataclasses.dataclass
class FakeEngine:
    """Draws at 64x64.  watch: called with every event before the caller hears of it.  asked: the last request."""

    watch: Callable[[Event], None] = lambda event: None
    opened: tuple[Path | None, str | None, str | None] = (None, None, None)
    memory: Memory | None = None
    asked: GenerateRequest | None = None
    warnings: tuple[str, ...] = ()
    all_asked: tuple[GenerateRequest, ...] = ()

    def __call__(
        self, models_dir: Path | None, device: str | None, dtype: str | None, memory: Memory | None = None
    ) -> FakeEngine:
        self.memory = memory
        self.opened = (models_dir, device, dtype)
        return self

    def generate(self, request: GenerateRequest, progress: Progress | None = None) -> Result:
        self.asked = request
        assert progress is not None

        def tell(event: Event) -> None:
            self.watch(event)
            progress(event)

        seed = 1234 if request.seed < 0 else request.seed
        settled = dataclasses.replace(request, seed=seed, width=64, height=64)
        images = request.batch_size * request.batch_count
        sigmas = (*torch.linspace(14.6, 0.5, request.steps).tolist(), 0.0)
        tell(Loading("tiny"))
        tell(Started(images, request.steps, sigmas))
        pictures, texts = [], []
        for image in range(images):
            for step in range(1, request.steps + 1):
                grey = Image.new("RGB", (64, 64), (round(255 * step / request.steps),) * 3)
                latents = torch.zeros(4, 8, 8)
                tell(
                    Step(image, images, step, request.steps, sigmas[step - 1], latents, latents, lambda grey=grey: grey)
                )
            tell(Decoding(image, images))
            pictures.append(Image.new("RGB", (64, 64), (seed % 256, image, 0)))
            texts.append(infotext.write(settled, seed=seed + image, model_name="tiny"))
            tell(Drawn(image, images, pictures[-1], texts[-1], seed + image))
        seeds = [seed + image for image in range(images)]
        latents = torch.zeros(images, 4, 8, 8)
        return Result(
            images=pictures, infotexts=texts, seeds=seeds, subseeds=seeds, latents=latents, request=settled,
            warnings=list(self.warnings),
        )  # fmt: skip

    def generate_all(self, requests: Sequence[GenerateRequest], progress: Progress | None = None) -> list[Result]:
        self.all_asked = tuple(requests)
        assert progress is not None
        results = []
        for index, request in enumerate(requests):

            def tell(event: Event, index: int = index) -> None:
                if hasattr(event, "image"):
                    event = dataclasses.replace(event, image=index, images=len(requests))
                progress(event)

            results.append(self.generate(request, tell))
        return results


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test writes into the clone or reads a person's settings."""
    monkeypatch.setenv("INKWASH_OUTPUTS_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("INKWASH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("INKWASH_MODELS_DIR", str(tmp_path / "library"))
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path
