"""The engine: a model kept ready, and requests turned into pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType

import torch

from inkwash.checkpoint import Catalog, Entry, HashCache, detect, short_hash
from inkwash.core import settings
from inkwash.core.errors import InkwashError
from inkwash.core.progress import Loading, Progress
from inkwash.core.request import GenerateRequest, Result
from inkwash.generation.job import Finish, Job, Origin, draw, infotext_of, memory_of, plan, started, warnings_of
from inkwash.generation.session import Session, View, Work
from inkwash.generation.wording import Library
from inkwash.models.load import load, weights_size
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import Compute, choose
from inkwash.runtime.memory import available_memory, check_memory, memory_errors, weights_budget
from inkwash.runtime.sharing import SharingCheck
from inkwash.runtime.shelf import Shelf


class Engine:
    """Draws requests.  Holds the models used last; everything else enters with the request.

    models_dir: an A1111 or ComfyUI folder, its ``models`` folder, or a folder of files; None: the settings' own.
    device: "cpu", "cuda", "cuda:1", "mps"; dtype: "float32", "bfloat16", "float16".  None: the best there is.
    memory: how many models stay ready, in how many GB; None: as the settings say.
    confined: models are found in the folder only, never by a path outside it, as a server wants it.
    Not safe for two threads at once: one engine, one thread (``Loop`` is how requests run side by side).
    """

    def __init__(
        self,
        models_dir: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        memory: settings.Memory | None = None,
        *,
        confined: bool = False,
    ) -> None:
        folder = Path(models_dir) if models_dir is not None else settings.load().models_dir
        self.catalog = Catalog([folder], HashCache(settings.cache_folder() / "hashes.json"), confined=confined)
        self.library = Library.of(folder)
        self.compute: Compute = choose(device, dtype)
        self.sharing = SharingCheck()
        memory = memory or settings.load().memory
        budget = weights_budget(self.compute.device, memory.gigabytes)
        self._models: Shelf[tuple[Path, Path | None], StableDiffusion] = Shelf(memory.models, budget)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models' memory."""
        self._models.clear()

    def model(
        self, name: str | None = None, vae: str | None = None, progress: Progress | None = None
    ) -> StableDiffusion:
        """The model of that name, loaded now unless it is still in memory; those used longest ago make room for it.

        Raises ModelNotFound (with near misses), DamagedFile, UnsupportedModel.
        """
        key = self._key(name, vae)
        model = self._models.get(key)
        if model is None:
            if progress:
                progress(Loading(self.catalog.find(name).name))
            spec = detect(key[0])
            size = weights_size(spec, self.compute)
            self._models.make_room(size, available_memory(self.compute.device))
            model = load(*key, self.compute, spec=spec)
            self._models.put(key, model, size)
        return model

    def generate(self, request: GenerateRequest, progress: Progress | None = None) -> Result:
        """Draw batch_count x batch_size pictures: batches one after another, the pictures of a batch side by side.

        Raises InkwashError for whatever a person can mend; Cancelled when ``progress`` raised it (pictures finished
        by then were handed out as ``Drawn`` events).
        """
        return self.generate_all([request], progress)[0]

    def generate_all(self, requests: Sequence[GenerateRequest], progress: Progress | None = None) -> list[Result]:
        """Draw many requests, those of one model side by side, so that they share calls where they may.

        Events count all pictures as if they were of one request.  Raises as ``generate`` does; the first error ends
        all.
        """
        total, first, results = sum(request.batch_size * request.batch_count for request in requests), 0, []
        for _, group in groupby(requests, key=_models_of):
            session, tickets = Session(self), []
            for request in group:
                tickets.append(session.take(self.work(request, progress, among=(first, total))))
                first += request.batch_size * request.batch_count
            results += _all_of(session, tickets)
        return results

    def work(
        self,
        request: GenerateRequest,
        progress: Progress | None = None,
        view: View | None = None,
        among: tuple[int, int] | None = None,
    ) -> Work:
        """The runs of a request, none begun; loads its model.  view: of the model, to draw with.

        among: (first, total) of its pictures among those of several requests that are told of as one.

        Raises as ``generate`` does.
        """
        start = time.perf_counter()
        tell: Progress = progress or (lambda event: None)
        with memory_errors(request):
            job = self._plan(request, progress, view)
            if among is not None:
                job = job.among(*among)
            if among is None or among[0] == 0:
                tell(started(job))
            origin, strict = self._origin(request), self._strict(job.request)
        batches = (
            [draw(job, picture, infotext_of(job, picture, origin), tell) for picture in batch]
            for batch in job.batches()
        )
        warnings = warnings_of(job)
        return Work(job.request, batches, lambda values: _result(job, values, warnings, start), strict, warnings)

    def _plan(self, request: GenerateRequest, progress: Progress | None, view: View | None) -> Job:
        """The request on its models, which are loaded.  Raises InkwashError."""
        others = self._others(request, progress)
        model = self.model(request.model, request.vae, progress)
        if request.tiling:
            model, others = tiling(model), {name: tiling(other) for name, other in others.items()}
        job = plan(request, view(model) if view else model, self.library, others)
        check_memory(job.request, memory_of(job, self._strict(job.request)), self.compute.device)
        return job

    def _others(self, request: GenerateRequest, progress: Progress | None) -> dict[str, StableDiffusion]:
        """The hires and refiner models of a request, by name.  Raises as ``model`` does."""
        names = {name for name in (request.refiner, request.hires and request.hires.model) if name}
        return {name: self.model(name, request.vae, progress) for name in sorted(names)}

    def holds(self, model: str | None, vae: str | None) -> bool:
        """Whether this model is in memory, as far as is known without reading anything."""
        try:
            return self._key(model, vae) in self._models
        except InkwashError:
            return True  # a name that means nothing changes nothing

    def _key(self, name: str | None, vae: str | None) -> tuple[Path, Path | None]:
        entry = self.catalog.find(name)
        separate = self.catalog.vae_of(entry, vae)
        return entry.path, separate.path if separate else None

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


def _all_of(session: Session, tickets: Sequence[int]) -> list[Result]:
    """Step the session until all of these are finished.  Raises the first error."""
    results: dict[int, Result] = {}
    while len(results) < len(tickets):
        results |= {ended.ticket: ended.result() for ended in session.step()}
    return [results[ticket] for ticket in tickets]


def _short(entry: Entry) -> str | None:
    return short_hash(entry.sha256) if entry.sha256 else None


def _result(job: Job, finished: list[Finish], warnings: list[str], start: float) -> Result:
    return Result(
        images=[finish.image for finish in finished],
        infotexts=[finish.infotext for finish in finished],
        seeds=[picture.seed for picture in job.pictures],
        subseeds=[picture.subseed for picture in job.pictures],
        latents=torch.stack([finish.latents for finish in finished]),
        request=job.request,
        seconds=time.perf_counter() - start,
        warnings=warnings,
    )
