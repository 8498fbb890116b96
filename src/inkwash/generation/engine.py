"""The engine: a model kept ready, and requests turned into pictures."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType

import torch
from PIL import Image
from torch import Tensor

from inkwash.checkpoint import Catalog, HashCache
from inkwash.core import settings
from inkwash.core.choices import LATENT_UPSCALERS
from inkwash.core.errors import OutOfMemory
from inkwash.core.extras import Extras, FaceRestoration
from inkwash.core.limits import Limits, face_restorer
from inkwash.core.masks import flattened
from inkwash.core.progress import Decoding, Drawn, Event, Progress, Started, Step
from inkwash.core.request import GenerateRequest, Result
from inkwash.generation.drawing import Finish, draw
from inkwash.generation.extras import enlarging
from inkwash.generation.job import Job, memory_of, plan
from inkwash.generation.latents import enlarged
from inkwash.generation.session import SIDE_BY_SIDE, Session, View, Work
from inkwash.generation.stock import Stock
from inkwash.generation.suits import needs_depth
from inkwash.generation.telling import infotext_of, origin_of, started, warnings_of
from inkwash.generation.tools import Tools
from inkwash.generation.wording import Library
from inkwash.imaging.depth import own_estimator
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Upscaler
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import Compute, choose
from inkwash.runtime.memory import check_memory, memory_errors, weights_budget
from inkwash.runtime.sharing import SharingCheck


class Engine:
    """Draws requests.  Holds the models used last; everything else enters with the request.

    models_dir: an A1111 or ComfyUI folder, its ``models`` folder, or a folder of files; None: the settings' own.
    device: "cpu", "cuda", "cuda:1", "mps"; dtype: "float32", "bfloat16", "float16".  None: the best there is.
    memory: how many models stay ready, in how many GB; None: as the settings say.
    limits: what a request may ask for at most, once its size is decided; None: the settings' own.
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
        limits: Limits | None = None,
        confined: bool = False,
    ) -> None:
        roots = settings.load().roots(models_dir)
        self.folder = roots[0]
        self.catalog = Catalog(roots, HashCache(settings.cache_folder() / "hashes.json"), confined=confined)
        self.library = Library.of(roots[0])
        self.compute: Compute = choose(device, dtype)
        self.sharing = SharingCheck()
        self.limits = limits or settings.load().limits
        self.memory = memory or settings.load().memory
        self.stock = Stock(self.catalog, self.compute, self.memory)
        budget = weights_budget(self.compute.device, self.memory.gigabytes)
        self.tools = Tools(self.catalog, self.folder, self.compute, budget // 4)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models' memory."""
        self.stock.clear()
        self.tools.clear()

    def model(
        self, name: str | None = None, vae: str | None = None, progress: Progress | None = None, *, ema: bool = False
    ) -> StableDiffusion:
        """The model of that name, as ``Stock.model`` has it."""
        return self.stock.model(name, vae, progress, ema=ema)

    def holds(self, model: str | None, vae: str | None, ema: bool = False) -> bool:
        """Whether this model is in memory, as far as is known without reading anything."""
        return self.stock.holds(model, vae, ema)

    def upscaler(self, name: str, near: Sequence[str] = ()) -> Upscaler:
        """What enlarges pictures under that name, as ``Tools.upscaler`` has it."""
        return self.tools.upscaler(name, near)

    def faces(self, wanted: FaceRestoration) -> Restoring:
        """How faces are restored, as ``Tools.faces`` has it."""
        return self.tools.faces(wanted)

    def others(self, request: GenerateRequest, progress: Progress | None = None) -> dict[str, StableDiffusion]:
        """The hires and refiner models of a request, by name.  Raises as ``model`` does."""
        names = {name for name in (request.refiner, request.hires and request.hires.model) if name}
        return {name: self.model(name, request.vae, progress) for name in sorted(names)}

    def enlarge(self, extras: Extras, progress: Progress | None = None) -> tuple[Image.Image, str, list[str]]:
        """The first picture of ``extras`` enlarged, its faces restored; A1111's line about it, and warnings.

        Raises InkwashError for whatever a person can mend; Cancelled when ``progress`` raised it.
        """
        found: list[tuple[Image.Image, str]] = []

        def keep(index: int, large: Image.Image, text: str, told: str) -> None:
            found.append((large, told))

        session = Session(self)
        session.take(enlarging(extras, self.upscaler, self.faces, progress or (lambda event: None), keep))
        while True:
            for ended in session.step():
                warnings: list[str] = ended.result()
                return *found[0], warnings

    def _estimated_depth(self, request: GenerateRequest, models: Sequence[StableDiffusion]) -> Image.Image | None:
        """Of the request's picture, if a model draws over a depth map and none is given."""
        image = request.init_image
        if request.depth is not None or image is None or not hasattr(image, "getbands") or not needs_depth(models):
            return None
        carrier = next((model for model in models if own_estimator(model.spec)), None)
        return self.tools.depth_estimator(carrier)(flattened(image))

    def _second_pass_upscaler(self, request: GenerateRequest) -> Upscaler | None:
        """None: the hires pass enlarges latents, or there is none."""
        name = request.hires.upscaler.strip() if request.hires else ""
        latent = name.casefold() in {known.casefold() for known in LATENT_UPSCALERS}
        return None if request.hires is None or latent else self.upscaler(name, LATENT_UPSCALERS)

    def _source_upscaler(self, request: GenerateRequest) -> Upscaler | None:
        """None: the picture to start from is not enlarged, or there is none."""
        enlarging = request.sd_upscale or request.tiled
        name = enlarging.upscaler if enlarging else None
        return self.upscaler(name) if name and request.init_image is not None else None

    def _faces(self, request: GenerateRequest) -> tuple[Restoring | None, GenerateRequest]:
        """How the request's faces are restored, if they are, and the request with the restorer's own name."""
        name = face_restorer(request.restore_faces)
        if name is None:
            return None, request
        faces = self.faces(FaceRestoration(restorer=name, weight=request.codeformer_weight))
        return faces, dataclasses.replace(request, restore_faces=faces.restorer.name)

    def generate(self, request: GenerateRequest, progress: Progress | None = None) -> Result:
        """Draw batch_count x batch_size pictures: batches one after another, the pictures of a batch side by side.

        Raises InkwashError for whatever a person can mend; Cancelled when ``progress`` raised it (pictures finished
        by then were handed out as ``Drawn`` events).
        """
        drawn: list[Event] = []

        def tell(event: Event) -> None:
            if isinstance(event, Drawn):
                drawn.append(event)
            if progress:
                progress(event)

        while True:
            try:
                return self._alone(request, tell)
            except OutOfMemory:
                if drawn or not self.stock.lighten(request):  # pictures that were handed out are not drawn again
                    raise

    def _alone(self, request: GenerateRequest, progress: Progress) -> Result:
        session = Session(self)
        session.add(request, progress)
        while True:
            for ended in session.step():
                result: Result = ended.result()
                return result

    def generate_all(self, requests: Sequence[GenerateRequest], progress: Progress | None = None) -> list[Result]:
        """Draw many requests, those of one model side by side, so that they share calls where they may.

        Events count all pictures as if they were of one request.  Raises as ``generate`` does; the first error ends
        all.
        """
        tell: Progress = progress or (lambda event: None)
        total = sum(request.batch_size * request.batch_count for request in requests)
        results: list[Result] = []
        for _, group in groupby(requests, key=_models_of):
            results += self._together(list(group), tell, sum(len(result.images) for result in results), total)
        return results

    def _together(self, requests: Sequence[GenerateRequest], tell: Progress, first: int, total: int) -> list[Result]:
        """Requests of one model, a few at a time.  first: pictures that were drawn before; total: of all."""
        session, tickets, results = Session(self), [], {}
        waiting = deque(requests)
        while waiting or len(session):
            while waiting and len(session) < SIDE_BY_SIDE:
                request = waiting.popleft()
                tickets.append(session.add(request, counted(tell, first, total)))
                first += request.batch_size * request.batch_count
            for ended in session.step():
                results[ended.ticket] = ended.result()
        return [results[ticket] for ticket in tickets]

    def work(
        self, request: GenerateRequest, progress: Progress | None = None, view: View | None = None
    ) -> Work:  # fmt: skip
        """The runs of a request, none begun; loads its model.  view: of the model, to draw with.

        Raises as ``generate`` does.
        """
        start = time.perf_counter()
        tell: Progress = progress or (lambda event: None)
        with memory_errors(request):
            job = self._job(request, view, progress)
            while memory_of(job) > self.stock.free() and self.stock.lighten(request):
                del job  # and with it the model
                job = self._job(request, view, progress)
            check_memory(job.request, memory_of(job), self.compute.device, self.stock.limit)
            strict = self._strict(job.request)
            tell(started(job))
            origin = origin_of(self.catalog, request)
        batches = (
            [draw(job, picture, infotext_of(job, picture, origin), tell) for picture in batch]
            for batch in job.batches()
        )
        warnings = warnings_of(job) + self.stock.notes(request)
        return Work(job.request, batches, lambda values: _result(job, values, warnings, start), strict, warnings)

    def _job(self, request: GenerateRequest, view: View | None, progress: Progress | None) -> Job:
        upscaler = self._second_pass_upscaler(request)  # first: a wrong name is told before a model is loaded
        faces, request = self._faces(request)
        others = self.others(request, progress)
        own = self.stock.predicting(self.model(request.model, request.vae, progress, ema=request.ema), request)
        seen = _seen(request, view)
        others = {name: seen(other) for name, other in others.items()}
        depth = self._estimated_depth(request, [own, *others.values()])
        upscalers = upscaler, self._source_upscaler(request)
        return plan(request, seen(own), self.library, others, *upscalers, self.limits, depth, faces)

    def _strict(self, request: GenerateRequest) -> bool:
        return self.compute.device.type == "cpu" if request.strict is None else request.strict


def _seen(request: GenerateRequest, view: View | None) -> View:
    """What a request's models are drawn with: tiling and VAE tiles if it asks for them, then the view."""

    def seen(model: StableDiffusion) -> StableDiffusion:
        wrapped = tiling(model) if request.tiling else model
        if request.vae_tiles:
            wrapped = dataclasses.replace(wrapped, tiles=request.vae_tiles)
        return view(wrapped) if view else wrapped

    return seen


def _models_of(request: GenerateRequest) -> tuple[object, ...]:
    """Requests that agree in this need the same models in memory."""
    return request.model, request.vae, request.ema, request.refiner, request.hires.model if request.hires else None


def counted(tell: Progress, first: int, total: int) -> Progress:
    """Events of one request among many: pictures count from ``first`` to ``total``, and only the first one starts."""

    def told(event: Event) -> None:
        if isinstance(event, Step | Decoding | Drawn):
            event = dataclasses.replace(event, image=first + event.image, images=total)
        elif isinstance(event, Started):
            if first:
                return
            event = dataclasses.replace(event, images=total)
        tell(event)

    return told


def _of_one_size(latents: list[Tensor]) -> list[Tensor]:
    """Those of a picture that was ended in its first pass are enlarged to their neighbours'."""
    size = max((one.shape[1], one.shape[2]) for one in latents)
    return [one if one.shape[1:] == size else enlarged(one, size, "Latent") for one in latents]


def _result(job: Job, finished: list[Finish], warnings: list[str], start: float) -> Result:
    return Result(
        images=[finish.image for finish in finished],
        infotexts=[finish.infotext for finish in finished],
        seeds=[picture.seed for picture in job.pictures],
        subseeds=[picture.subseed for picture in job.pictures],
        latents=torch.stack(_of_one_size([finish.latents for finish in finished])),
        request=job.request,
        seconds=time.perf_counter() - start,
        warnings=warnings,
    )
