"""A worker that paints: every step is told with a preview, and a test can hold it before any step."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tests.support.page import scenery
from tests.support.service import PaintingService

from inkwash.core import files, images, infotext, masks, wire
from inkwash.core.request import GenerateRequest
from inkwash.core.resizing import scaled
from inkwash.jobs.protocol import Glimpse, Lease, StaleLease
from inkwash.jobs.serving import System, WorkerState
from inkwash.jobs.shelf import Shelf

SIGMAS = (14.6146, 0.0292)  # of Stable Diffusion 1


class Gate:
    """Where painting waits for the test: before step ``at``, until it is opened or the service goes down."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.open = threading.Event()

    def hold(self, step: int) -> None:
        self.open.clear()
        self.at = step

    def let_go(self) -> None:
        self.at = None
        self.open.set()

    def passes(self, step: int) -> None:
        if self.at is not None and step >= self.at:
            self.open.wait()


class Painter(PaintingService):
    """seconds: how long a step takes.  side: of pictures whose size nobody asks for."""

    def __init__(
        self, data_dir: Path, outputs_dir: Path, seconds: float, side: int, models_dir: Path | None = None
    ) -> None:
        super().__init__(data_dir, outputs_dir, models_dir=models_dir)
        self.shelf = Shelf(data_dir, outputs_dir)
        self.gate = Gate()
        self.side = side
        self.seconds = threading.Event(), seconds

    def start(self) -> None:
        """Jobs that an earlier service left running are painted again."""
        self.desk.recover()
        super().start()
        self._news.set()

    def system(self) -> System:
        found = super().system()
        worker = WorkerState(
            state="busy" if found.running else "idle", pid=4711, model="inkwash-box", device="cpu",
            dtype="bfloat16", memory=3 << 30, seconds_per_step=1.42,
        )  # fmt: skip
        return dataclasses.replace(
            found, worker=worker, memory_total=24 << 30, memory_free=15 << 30, memory_process=1 << 28, uptime=4000.0
        )

    def fill(self, count: int) -> None:
        """Small pictures of earlier days, straight into the tables: one by one, hundreds would take many seconds."""
        made = [scenery.landscape(number, *size) for number, size in enumerate(4 * [(96, 64), (64, 64), (64, 96)])]
        for number, picture in enumerate(made):
            files.write(self._old(number), images.encode(picture))
        files.make_folder(self.shelf.thumbnail("old-0").parent)
        with self.database.writing() as db:
            for number in range(count):
                which = number % len(made)
                self.shelf.thumbnail(f"old-{number}").write_bytes(scenery.webp(made[which], 96, 80))
                text = f"hills, number {number}\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: {number}, Size: 64x64"
                db.execute(
                    "INSERT INTO pictures (id, job, user, path, width, height, created, infotext, words, prompt,"
                    " negative_prompt, seed, model) VALUES (?, 'old', '', ?, ?, ?, ?, ?, ?, ?, '', ?, 'old')",
                    (
                        f"old-{number}", str(self._old(which)), *made[which].size, number, text, text.casefold(),
                        text.split("\n")[0], str(number),
                    ),
                )  # fmt: skip

    def _old(self, number: int) -> Path:
        return self.shelf.outputs / "old" / f"{number}.png"

    def _paint(self, lease: Lease) -> None:
        if lease.kind == "explain":
            self._explain(lease)
            return
        if lease.kind == "model":
            self._make(lease)
            return
        if lease.kind == "extras":
            self.gate.passes(1)
            self._enlarge(lease)
            return
        request = wire.from_json(lease.request, self.blobs.find)
        if request.prompt.startswith("fail"):
            self.desk.fail(lease, "There is no wildcard file x.txt.", "Make such a file.", again=False)
            return
        count = request.batch_size * request.batch_count
        for index in range(count):
            picture = self._picture(request, index)
            for step in range(1, request.steps + 1):
                self._step(lease, request, (index, count), step, picture)
            self._keep(lease, index, picture, {**lease.request, "seed": request.seed + index})
        self.desk.finish(lease)

    def _picture(self, request: GenerateRequest, index: int) -> Image.Image:
        """A landscape; where there is a mask, only there, as an inpainting would."""
        source = request.init_image
        width, height = source.size if source else (self.side, self.side)
        scale = request.hires.scale if request.hires else 1
        size = int((request.width or width) * scale), int((request.height or height) * scale)
        enlarging = request.sd_upscale or (request.tiled if request.tiled and request.tiled.upscaler else None)
        size = scaled(source.size, enlarging.scale) if source and enlarging else size
        painted = scenery.landscape(request.seed + index, *size, request.cfg_scale / 7)
        mask = masks.request_mask(request)
        if source is None or mask is None:
            return painted
        return Image.composite(painted, source.convert("RGB").resize(size), mask.resize(size))

    def _step(
        self, lease: Lease, request: GenerateRequest, place: tuple[int, int], step: int, picture: Image.Image
    ) -> None:
        """Raises StaleLease when the job was cancelled."""
        self.gate.passes(step)
        if self._ended or not self.desk.renew([lease]):
            raise StaleLease("The job was cancelled.")
        (index, count), steps = place, request.steps
        seen = scenery.noised(picture, step, max(0.0, 0.85 - step / steps))
        self.live.glimpse(
            Glimpse(
                job=lease.job, picture=index, pictures=count, step=step, steps=steps,
                preview=scenery.webp(seen, 256, 60),
                sigma=SIGMAS[0] * (1 - step / steps), fraction=(index + step / steps) / count,
                seconds_left=(count - index - step / steps) * steps * 0.4,
            )
        )  # fmt: skip
        event, seconds = self.seconds
        event.wait(seconds)

    def _keep(self, lease: Lease, index: int, picture: Image.Image, asked: Mapping[str, Any]) -> None:
        request = dataclasses.replace(wire.from_json(asked), width=picture.width, height=picture.height)
        text = infotext.write(request, subseed=request.seed, model_name="inkwash-box", version="test")
        facts = {"seed": request.seed, "subseed": request.seed, "infotext": text}
        self.desk.keep(lease, str(index), "image/png", images.encode(picture, text), facts)

    def _explain(self, lease: Lease) -> None:
        self.gate.passes(1)
        request = lease.request
        trace = {"noised": list(self._noised(lease))} if "noise" in request else self._trace(lease)
        self.desk.keep(lease, "trace", "application/json", json.dumps(trace).encode(), {})
        self.desk.finish(lease)

    def _show(self, lease: Lease, name: str, picture: Image.Image) -> str:
        self.desk.keep(lease, name, "image/webp", scenery.webp(picture, 512, 75), {})
        return name

    def _noised(self, lease: Lease) -> Iterator[dict[str, Any]]:
        noise = lease.request["noise"]
        clean = Image.open(noise["picture"])
        for t in noise["ts"]:
            name = self._show(lease, f"noised-{t}", scenery.noised(clean, noise["seed"], t / 999))
            yield {"t": t, "sigma": SIGMAS[0] * t / 999, "picture": name}

    def _trace(self, lease: Lease) -> dict[str, Any]:
        request = wire.from_json({key: value for key, value in lease.request.items() if key != "cfgs"})
        steps, seed = request.steps, request.seed
        side = self.side
        clean = scenery.landscape(seed, side, side)
        sigmas = karras(steps)
        words = request.prompt.replace(",", " ").split()
        return {
            "tokens": [{"text": word, "index": index + 1, "weight": 1.0} for index, word in enumerate(words)],
            "chunks": 1,
            "sigmas": [*sigmas, 0.0],
            "timesteps": [*(999 * sigma / sigmas[0] for sigma in sigmas), 0.0],
            "steps": [
                {
                    "step": step, "sigma": sigmas[step - 1], "t": 999 * sigmas[step - 1] / sigmas[0],
                    "noisy": self._show(lease, f"noisy-{step}", scenery.noised(clean, 9, 1 - step / steps)),
                    "denoised": self._show(
                        lease, f"denoised-{step}", scenery.landscape(seed, side, side, step / steps)
                    ),
                }
                for step in range(1, steps + 1)
            ],
            "picture": self._show(lease, "picture", clean),
            "attention": [
                {
                    "word": word, "token_indexes": [index + 1],
                    "map": self._show(lease, f"word-{index}", scenery.heat(seed + index)),
                    "sheet": self._show(lease, f"word-{index}-steps", scenery.heats(seed + index, steps)),
                }
                for index, word in enumerate(words)
            ],
            "cfg": [
                {"cfg": cfg, "picture": self._show(lease, f"cfg-{index}", scenery.landscape(seed, side, side, cfg / 7))}
                for index, cfg in enumerate(lease.request["cfgs"])
            ],
        }  # fmt: skip


def karras(steps: int) -> Sequence[float]:
    """Equation 5 of arXiv:2206.00364 with rho = 7."""
    high, low = (sigma ** (1 / 7) for sigma in SIGMAS)
    return [(high + step / max(steps - 1, 1) * (low - high)) ** 7 for step in range(steps)]
