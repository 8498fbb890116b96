"""A service whose worker is a thread that paints flat pictures: the real store, gallery and board, no engine."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tests.support import faces

from inkwash.checkpoint import Catalog
from inkwash.core import extras, images, infotext, wire
from inkwash.core.blobs import Blobs
from inkwash.core.errors import Cancelled, InkwashError
from inkwash.core.extras import FaceRestoration
from inkwash.generation.extras import enlarging
from inkwash.generation.loop import Loop
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Resampling
from inkwash.jobs.database import Database
from inkwash.jobs.gallery import Gallery
from inkwash.jobs.live import Board
from inkwash.jobs.log import Log
from inkwash.jobs.making import Maker
from inkwash.jobs.protocol import Glimpse, Lease, Saving, StaleLease, State
from inkwash.jobs.serving import LogLine, System, WorkerState
from inkwash.jobs.shelf import Shelf
from inkwash.jobs.store import Store


class PaintingService:
    """side: pictures are painted no larger.

    ``let_go`` set: jobs are drawn as they come.  Cleared: the next job stays at its first step until it is set."""

    def __init__(
        self, data_dir: Path, outputs_dir: Path, *, queue: int = 256, side: int = 10_000,
        models_dir: Path | None = None,
    ) -> None:  # fmt: skip
        shelf = Shelf(data_dir, outputs_dir)
        self.side = side
        self.catalog = Catalog([models_dir or data_dir], confined=True)
        self.blobs = Blobs.of(data_dir)
        self.database = Database(data_dir / "jobs.sqlite")
        self.live = Board()
        self.desk = Store(self.database, shelf, queue=queue, told=self._told, asked=self._asked)
        self.pictures = Gallery(self.database, shelf)
        self.lines = Log()
        self.loaded: list[str | None] = []
        self.wishes: list[tuple[str, str]] = []  # "skip" or "interrupt", job
        self.up = True
        self.let_go = threading.Event()
        self.let_go.set()
        self.at_work = threading.Event()  # a job has been begun
        self._news = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def drain(self, grace: float = 30.0) -> None:
        self._ended = True
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(grace)

    def stop(self, grace: float = 30.0) -> None:
        self._ended = True
        self.let_go.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(grace)
        self.database.close()

    def system(self) -> System:
        counts = self.desk.counts()
        worker = WorkerState(state="idle" if self.up else "down", pid=1, device="cpu", dtype="float32")
        return System(worker=worker, queued=counts["queued"], running=counts["running"], memory_total=4, memory_free=3)

    def ready(self) -> bool:
        return self.up

    def log(self, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        return self.lines.after(after, limit)

    def load(self, model: str | None) -> None:
        self.loaded.append(model)

    def unload(self) -> None:
        self.loaded.append("nothing")

    def save_as(self, saving: Saving) -> None:
        self.desk.results.saving = saving

    def _asked(self, wish: str, job: str) -> None:
        self.wishes.append((wish, job))

    def _told(self, job: str, user: str, state: State) -> None:
        self.live.changed(job, user, state)
        self._news.set()

    def _work(self) -> None:
        while not self._ended:
            self._news.wait()
            self._news.clear()
            while not self._ended and (lease := self.desk.claim("painter")) is not None:
                try:
                    self._paint(lease)
                except StaleLease:
                    continue

    def _paint(self, lease: Lease) -> None:
        """Two glimpses a picture; prompts that begin with "fail" fail as a worker would tell it."""
        if lease.kind == "model":
            self._make(lease)
            return
        if lease.kind == "explain":
            self.desk.keep(lease, "trace", "application/json", b'{"steps": []}', {})
            self.desk.finish(lease)
            return
        if lease.kind == "extras":
            self._enlarge(lease)
            return
        request = wire.from_json(lease.request, self.blobs.find)
        if request.prompt.startswith("fail"):
            self.desk.fail(lease, "There is no wildcard file x.txt.", "Make such a file.", again=False)
            return
        width, height = request.width or 64, request.height or 64
        if request.hires is not None:
            width, height = (int(side * request.hires.scale) for side in (width, height))
        count = request.batch_size * request.batch_count
        for index in range(count):
            self._glimpse(lease, index, count, request.steps)
            self.at_work.set()
            self.let_go.wait()
            if not self.desk.renew([lease]):
                return
            seed = request.seed + index
            text = f"{request.prompt}\nSteps: {request.steps}, Sampler: {request.sampler}, CFG scale: 7, Seed: {seed}"
            text += f", Size: {width}x{height}, Model: painted"
            assert infotext.parse(text)["Seed"] == str(seed)
            flat = Image.new("RGB", (min(width, self.side), min(height, self.side)), (seed % 256, index % 256, 128))
            facts = {"seed": seed, "subseed": request.subseed, "infotext": text, "index": index}
            facts |= {"ended_at": 1} if self.wishes else {}
            self.desk.keep(lease, str(index), f"image/{lease.format}", images.encode(flat, text, lease.format), facts)
            if ("interrupt", lease.job) in self.wishes:
                break
            self.wishes.clear()
        self.desk.finish(lease, ["painted flat"])

    def _make(self, lease: Lease) -> None:
        """The real thing, after the first glimpse."""

        def glimpse(seen: Glimpse) -> None:
            self.live.glimpse(seen)
            self.at_work.set()
            self.let_go.wait()

        try:
            notes = Maker(self.catalog, self.desk, glimpse)(lease, lambda: self.desk.get(lease.job).state != "running")
        except Cancelled:
            return
        except InkwashError as error:
            self.desk.fail(lease, error.message, error.remedy, again=False)
        else:
            self.desk.finish(lease, notes)

    def _enlarge(self, lease: Lease) -> None:
        """By resampling, and faces by their negative, as there are no networks for it here."""
        wanted = extras.from_json(lease.request, self.blobs.find)

        def keep(index: int, picture: Image.Image, infotext: str, told: str) -> None:
            data = images.encode(picture, infotext, texts={"postprocessing": told} if told else {})
            self.desk.keep(lease, str(index), "image/png", data, {"postprocessing": told, "infotext": infotext})

        self._glimpse(lease, 0, len(wanted.images), 1)
        self.at_work.set()
        self.let_go.wait()
        loop = Loop(strict=True)
        for batch in enlarging(wanted, Resampling, _restoring, lambda event: None, keep).batches:
            for run in batch:
                loop.add(run)
        notes: dict[str, None] = {}
        while len(loop):
            notes |= dict.fromkeys(note for finished in loop.step() for note in finished.notes)
        self.desk.finish(lease, list(notes))

    def _glimpse(self, lease: Lease, index: int, count: int, steps: int) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (index, 200, 0)).save(buffer, "WEBP")
        self.live.glimpse(
            Glimpse(
                job=lease.job, picture=index, pictures=count, step=1, steps=steps, sigma=14.6,
                fraction=(index + 1 / steps) / count, seconds_left=1.0, preview=buffer.getvalue(),
            )
        )  # fmt: skip


def _restoring(wanted: FaceRestoration) -> Restoring:
    """A black picture shows no face; of every other the middle is one."""
    kind = "CodeFormer" if wanted.restorer.casefold().startswith("codeformer") else "GFPGAN"
    find = faces.Known(faces.LANDMARKS / 192 * 8)
    finder = lambda picture: find(picture) if picture.getbbox() else []  # noqa: E731
    return Restoring(finder, faces.negative(kind), wanted.visibility, wanted.weight)  # type: ignore[arg-type]
