"""The engine: a model kept ready, and requests turned into pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType

import torch

from inkwash.checkpoint import Catalog, Entry, HashCache, short_hash
from inkwash.core import settings
from inkwash.core.progress import Loading, Progress
from inkwash.core.request import GenerateRequest, Result
from inkwash.generation.job import Finish, Job, Origin, draw, infotext_of, memory_of, plan, started, warnings_of
from inkwash.generation.loop import Loop
from inkwash.generation.wording import Library
from inkwash.models.load import load
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import Compute, choose
from inkwash.runtime.memory import check_memory, memory_errors
from inkwash.runtime.sharing import SharingCheck

SIDE_BY_SIDE = 8
"""Pictures of different requests drawn at once: enough for full calls, few enough for their latents to be light."""


class Engine:
    """Draws requests.  Holds the last model used; everything else enters with the request.

    models_dir: an A1111 or ComfyUI folder, its ``models`` folder, or a folder of files; None: the settings' own.
    device: "cpu", "cuda", "cuda:1", "mps"; dtype: "float32", "bfloat16", "float16".  None: the best there is.
    Not safe for two threads at once: one engine, one thread (``Loop`` is how requests run side by side).
    """

    def __init__(
        self, models_dir: str | Path | None = None, device: str | None = None, dtype: str | None = None
    ) -> None:
        folder = Path(models_dir) if models_dir is not None else settings.load().models_dir
        self.catalog = Catalog([folder], HashCache(settings.cache_folder() / "hashes.json"))
        self.library = Library.of(folder)
        self.compute: Compute = choose(device, dtype)
        self.sharing = SharingCheck()
        self._loaded: tuple[tuple[Path, Path | None], StableDiffusion] | None = None
        self._beside: dict[str, StableDiffusion] = {}

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models' memory."""
        self._loaded = None
        self._beside.clear()

    def model(
        self, name: str | None = None, vae: str | None = None, progress: Progress | None = None
    ) -> StableDiffusion:
        """The model of that name, loaded now unless it is the one already in memory.

        Raises ModelNotFound (with near misses), DamagedFile, UnsupportedModel.
        """
        entry = self.catalog.find(name)
        separate = self.catalog.vae_of(entry, vae)
        key = (entry.path, separate.path if separate else None)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # before the next one, so that only one is ever in memory
            if progress:
                progress(Loading(entry.name))
            self._loaded = key, load(*key, self.compute)
        return self._loaded[1]

    def others(self, request: GenerateRequest, progress: Progress | None = None) -> dict[str, StableDiffusion]:
        """The hires and refiner models of a request, by name, kept beside its own until another request needs others.

        Raises as ``model`` does.
        """
        names = {name for name in (request.refiner, request.hires and request.hires.model) if name}
        self._beside = {name: model for name, model in self._beside.items() if name in names}
        own = self.catalog.find(request.model).path
        for name in sorted(names - set(self._beside)):
            entry = self.catalog.find(name)
            if entry.path == own:
                continue
            separate = self.catalog.vae_of(entry, request.vae)
            if progress:
                progress(Loading(entry.name))
            self._beside[name] = load(entry.path, separate.path if separate else None, self.compute)
        main = self.model(request.model, request.vae, progress)
        return {name: self._beside.get(name, main) for name in names}

    def generate(self, request: GenerateRequest, progress: Progress | None = None) -> Result:
        """Draw batch_count x batch_size pictures.

        Raises InkwashError for whatever a person can mend; Cancelled when ``progress`` raised it (pictures finished
        by then were handed out as ``Drawn`` events).
        """
        start = time.perf_counter()
        tell: Progress = progress or (lambda event: None)
        with memory_errors(request):
            job = self._plan(request, progress)
            tell(started(job))
            finished = self._draw(job, self._origin(request), tell)
        return _result(job, finished, time.perf_counter() - start)

    def generate_all(self, requests: Sequence[GenerateRequest], progress: Progress | None = None) -> list[Result]:
        """Draw many requests, those of one model side by side, so that they share calls where they may.

        Events count all pictures as if they were of one request.  Raises as ``generate`` does;
        the first error ends all.
        """
        tell: Progress = progress or (lambda event: None)
        total, results = sum(request.batch_size * request.batch_count for request in requests), []
        for _, group in groupby(requests, key=_models_of):
            start, jobs = time.perf_counter(), []
            first = sum(len(result.images) for result in results)
            for request in group:
                job = self._plan(request, progress).among(first, total)
                jobs.append((job, self._origin(request)))
                first += len(job.pictures)
            if not results:
                tell(started(jobs[0][0]))
            with memory_errors(jobs[0][0].request):
                results += self._draw_together(jobs, tell, start)
        return results

    def _draw_together(self, jobs: Sequence[tuple[Job, Origin]], tell: Progress, start: float) -> list[Result]:
        """Jobs of one model, ``SIDE_BY_SIDE`` pictures at a time."""
        waiting = [
            (job, picture, infotext_of(job, picture, origin)) for job, origin in jobs for picture in job.pictures
        ]
        finished: list[Finish] = []
        for begin in range(0, len(waiting), SIDE_BY_SIDE):
            loop = Loop(strict=self._strict(jobs[0][0].request), sharing=self.sharing)
            few = waiting[begin : begin + SIDE_BY_SIDE]
            finished += run_all(loop, [loop.add(draw(job, picture, text, tell)) for job, picture, text in few])
        rest, seconds = iter(finished), time.perf_counter() - start
        return [_result(job, [next(rest) for _ in job.pictures], seconds / len(jobs)) for job, _ in jobs]

    def _plan(self, request: GenerateRequest, progress: Progress | None) -> Job:
        """The request on its models, which are loaded.  Raises InkwashError."""
        model = self.model(request.model, request.vae, progress)
        view = tiling if request.tiling else _as_it_is
        others = {name: view(other) for name, other in self.others(request, progress).items()}
        job = plan(request, view(model), self.library, others)
        check_memory(job.request, memory_of(job, self._strict(job.request)), self.compute.device)
        return job

    def _draw(self, job: Job, origin: Origin, tell: Progress) -> list[Finish]:
        """Batches one after another, the pictures of a batch side by side."""
        finished: list[Finish] = []
        for batch in job.batches():
            loop = Loop(strict=self._strict(job.request), sharing=self.sharing)
            tickets = [loop.add(draw(job, picture, infotext_of(job, picture, origin), tell)) for picture in batch]
            finished += run_all(loop, tickets)
        return finished

    def _strict(self, request: GenerateRequest) -> bool:
        return self.compute.device.type == "cpu" if request.strict is None else request.strict

    def _origin(self, request: GenerateRequest) -> Origin:
        """Names and hashes of the files in use, as A1111 writes them."""
        entry = self.catalog.with_hash(self.catalog.find(request.model))
        vae = self.catalog.vae_of(entry, request.vae)
        vae = self.catalog.with_hash(vae) if vae else None
        hires, refiner = request.hires.model if request.hires else None, request.refiner
        return Origin(
            entry.name,
            _short(entry),
            vae.path.name if vae else None,
            _short(vae) if vae else None,
            hires_name=self._titled(hires),
            refiner_name=self._titled(refiner),
        )

    def _titled(self, name: str | None) -> str | None:
        """A1111's way to name a second model: "name [hash]"."""
        if not name:
            return None
        entry = self.catalog.with_hash(self.catalog.find(name))
        return f"{entry.name} [{_short(entry)}]" if entry.sha256 else entry.name


def _models_of(request: GenerateRequest) -> tuple[object, ...]:
    """Requests that agree in this can share calls."""
    hires = request.hires.model if request.hires else None
    return request.model, request.vae, request.refiner, hires, request.tiling, request.strict


def _result(job: Job, finished: Sequence[Finish], seconds: float) -> Result:
    return Result(
        images=[finish.image for finish in finished],
        infotexts=[finish.infotext for finish in finished],
        seeds=[picture.seed for picture in job.pictures],
        subseeds=[picture.subseed for picture in job.pictures],
        latents=torch.stack([finish.latents for finish in finished]),
        request=job.request,
        seconds=seconds,
        warnings=warnings_of(job),
    )


def _as_it_is(model: StableDiffusion) -> StableDiffusion:
    return model


def _short(entry: Entry) -> str | None:
    return short_hash(entry.sha256) if entry.sha256 else None


def run_all(loop: Loop, tickets: list[int]) -> list[Finish]:
    """Step the loop until all of these runs are finished; the first error ends them all."""
    values: dict[int, Finish] = {}
    while len(values) < len(tickets):
        for finished in loop.step():
            if finished.error is not None:
                for ticket in tickets:
                    loop.cancel(ticket)
                raise finished.error
            values[finished.ticket] = finished.value
    return [values[ticket] for ticket in tickets]
