"""The engine: a model kept ready, and requests turned into pictures."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor

from inkwash.checkpoint import Catalog, Entry, HashCache, ModelSpec, detect, short_hash
from inkwash.checkpoint.restorers import find_restorer
from inkwash.checkpoint.spec import Prediction
from inkwash.checkpoint.upscalers import find_upscaler
from inkwash.core import settings
from inkwash.core.choices import LATENT_UPSCALERS, PICTURE_UPSCALERS, prediction_named
from inkwash.core.errors import InkwashError, OutOfMemory
from inkwash.core.estimates import unet_memory
from inkwash.core.extras import Extras, FaceRestoration
from inkwash.core.limits import Limits, face_restorer
from inkwash.core.masks import flattened
from inkwash.core.progress import Decoding, Drawn, Event, Loading, Progress, Started, Step
from inkwash.core.request import GenerateRequest, Result
from inkwash.generation.extras import enlarging
from inkwash.generation.job import Finish, Job, Origin, draw, infotext_of, memory_of, plan, started, warnings_of
from inkwash.generation.latents import enlarged
from inkwash.generation.session import SIDE_BY_SIDE, Session, View, Work
from inkwash.generation.suits import needs_depth
from inkwash.generation.wording import Library
from inkwash.imaging import learned
from inkwash.imaging.depth import DepthEstimator, find_estimator, load_estimator, own_estimator
from inkwash.imaging.faces import finder
from inkwash.imaging.learned import Learned
from inkwash.imaging.restorers import FaceRestorer, load_restorer
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Resampling, Upscaler
from inkwash.models.sparing import POLICIES, Policy, held_size, load_by
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.models.tiling import tiling
from inkwash.runtime.device import Compute, choose
from inkwash.runtime.memory import available_memory, check_memory, memory_errors, weights_budget
from inkwash.runtime.sharing import SharingCheck
from inkwash.runtime.shelf import Shelf

PREDICTION_OF: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}

UPSCALERS_KEPT, RESTORERS_KEPT = 3, 2

Key = tuple[Path, Path | None, bool]
"""What tells models in memory apart: file, separate VAE, whether the U-Net is the EMA copy."""


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
        self._depth: tuple[Path, DepthEstimator] | None = None  # the one used last
        self.memory = memory or settings.load().memory
        self.limit = int(self.memory.limit * 1e9) or None
        budget = weights_budget(self.compute.device, self.memory.gigabytes)
        self._models: Shelf[Key, StableDiffusion] = Shelf(self.memory.models, budget)
        self._views: WeakKeyDictionary[StableDiffusion, dict[str, StableDiffusion]] = WeakKeyDictionary()
        self._upscalers: Shelf[Path, Learned] = Shelf(UPSCALERS_KEPT, budget // 4)
        self._restorers: Shelf[Path, FaceRestorer] = Shelf(RESTORERS_KEPT, budget // 4)
        self._policies: dict[Key, Policy] = {}  # of models that were loaded

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models' memory."""
        self._models.clear()
        self._upscalers.clear()
        self._restorers.clear()
        self._depth = None

    def model(
        self, name: str | None = None, vae: str | None = None, progress: Progress | None = None, *, ema: bool = False
    ) -> StableDiffusion:
        """The model of that name, loaded now unless it is still in memory; those used longest ago make room for it.

        ema: with the U-Net's EMA copy.  Raises ModelNotFound (with near misses), DamagedFile, UnsupportedModel,
        InvalidRequest if there is no EMA copy.
        """
        key = self._key(name, vae, ema)
        model = self._models.get(key)
        if model is None:
            if progress:
                progress(Loading(self.catalog.find(name).name))
            spec = detect(key[0])
            self._models.make_room(held_size("resident", spec, self.compute), self.free())
            policy = self._policies[key] = self._policy(key, spec)
            model = dataclasses.replace(load_by(policy, *key[:2], self.compute, spec, ema=ema), limit=self.limit)
            self._models.put(key, model, held_size(policy, spec, self.compute))
        return model

    def free(self) -> int:
        """Bytes that may still be taken where this engine computes."""
        return available_memory(self.compute.device, self.limit)

    def _policy(self, key: Key, spec: ModelSpec) -> Policy:
        """What is told; else what drawing last fell back to; else the first whose weights and a picture fit."""
        if self.memory.policy in POLICIES:
            return self.memory.policy
        if key in self._policies:
            return self._policies[key]
        picture = unet_memory(spec.native_size**2, 2, self.compute.dtype, spec.unet.channels[0])
        room = self.free() - picture
        return next((one for one in POLICIES if held_size(one, spec, self.compute) <= room), POLICIES[-1])

    def _lighten(self, request: GenerateRequest) -> bool:
        """Have the request's model loaded by the next policy when it is asked for; False: there is none to go to."""
        key = self._key(request.model, request.vae, request.ema)
        after = POLICIES.index(self._policies.get(key, POLICIES[-1])) + 1
        if self.memory.policy in POLICIES or after == len(POLICIES):
            return False
        self._policies[key] = POLICIES[after]
        self._models.drop(key)
        return True

    def others(self, request: GenerateRequest, progress: Progress | None = None) -> dict[str, StableDiffusion]:
        """The hires and refiner models of a request, by name.  Raises as ``model`` does."""
        names = {name for name in (request.refiner, request.hires and request.hires.model) if name}
        return {name: self.model(name, request.vae, progress) for name in sorted(names)}

    def upscaler(self, name: str, near: Sequence[str] = ()) -> Upscaler:
        """What enlarges pictures under that name; a learned one is loaded now unless it is still in memory.

        near: further names that an error may propose.  Raises InvalidRequest with the nearest names, DamagedFile,
        UnsupportedModel.
        """
        found = find_upscaler(self.catalog, name, PICTURE_UPSCALERS, near)
        return Resampling(found) if isinstance(found, str) else self._learned(found)

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

    def faces(self, wanted: FaceRestoration) -> Restoring:
        """How faces are restored; the restorer is loaded now unless it is still in memory.

        Raises MissingLibrary, ModelNotFound, InvalidRequest with the names there are, DamagedFile, UnsupportedModel.
        """
        entry = find_restorer(self.catalog, wanted.restorer)
        restorer = self._restorers.get(entry.path)
        if restorer is None:
            self._restorers.make_room(entry.path.stat().st_size, available_memory(self.compute.device))
            restorer = load_restorer(entry.path, self.compute, entry.name)
            self._restorers.put(entry.path, restorer, restorer.nbytes)
        return Restoring(finder(), restorer, wanted.visibility, wanted.weight)

    def _learned(self, entry: Entry) -> Learned:
        upscaler = self._upscalers.get(entry.path)
        if upscaler is None:
            self._upscalers.make_room(entry.path.stat().st_size, available_memory(self.compute.device))
            upscaler = learned.load(entry.path, self.compute, entry.name)
            self._upscalers.put(entry.path, upscaler, upscaler.nbytes)
        return upscaler

    def depth_estimator(self, model: StableDiffusion | None = None, name: str | None = None) -> DepthEstimator:
        """The depth model of that name in models/depth; else the one ``model`` carries; else the first there.

        Raises ModelNotFound, UnsupportedModel, DamagedFile, MissingLibrary.
        """
        own = own_estimator(model.spec) if model and name is None else None
        path = own or find_estimator(self.folder, name)
        if self._depth is None or self._depth[0] != path:
            self._depth = None  # two of them need not lie in memory
            self._depth = path, load_estimator(path, self.compute)
        return self._depth[1]

    def _estimated_depth(self, request: GenerateRequest, models: Sequence[StableDiffusion]) -> Image.Image | None:
        """Of the request's picture, if a model draws over a depth map and none is given."""
        image = request.init_image
        if request.depth is not None or image is None or not hasattr(image, "getbands") or not needs_depth(models):
            return None
        carrier = next((model for model in models if own_estimator(model.spec)), None)
        return self.depth_estimator(carrier)(flattened(image))

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
                if drawn or not self._lighten(request):  # pictures that were handed out are not drawn again
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
            while memory_of(job) > self.free() and self._lighten(request):
                del job  # and with it the model
                job = self._job(request, view, progress)
            check_memory(job.request, memory_of(job), self.compute.device, self.limit)
            strict = self._strict(job.request)
            tell(started(job))
            origin = self._origin(request)
        batches = (
            [draw(job, picture, infotext_of(job, picture, origin), tell) for picture in batch]
            for batch in job.batches()
        )
        warnings = warnings_of(job) + self._said_of_memory(request)
        return Work(job.request, batches, lambda values: _result(job, values, warnings, start), strict, warnings)

    def _job(self, request: GenerateRequest, view: View | None, progress: Progress | None) -> Job:
        upscaler = self._second_pass_upscaler(request)  # first: a wrong name is told before a model is loaded
        faces, request = self._faces(request)
        others = self.others(request, progress)
        own = self._predicting(self.model(request.model, request.vae, progress, ema=request.ema), request)
        seen = _seen(request, view)
        others = {name: seen(other) for name, other in others.items()}
        depth = self._estimated_depth(request, [own, *others.values()])
        upscalers = upscaler, self._source_upscaler(request)
        return plan(request, seen(own), self.library, others, *upscalers, self.limits, depth, faces)

    def _said_of_memory(self, request: GenerateRequest) -> list[str]:
        """That a model is not all in memory, where nobody asked for that."""
        policy = self._policies.get(self._key(request.model, request.vae, request.ema), "resident")
        if policy == "resident" or self.memory.policy in POLICIES:
            return []
        return [f"Memory is short: the model's weights come in part by part (policy {policy}), which takes longer."]

    def _predicting(self, model: StableDiffusion, request: GenerateRequest) -> StableDiffusion:
        """The model, taken to predict what the request says: the same weights, and the same view for every request."""
        if request.prediction is None:
            return model
        wanted = PREDICTION_OF[prediction_named(request.prediction)]
        views = self._views.setdefault(model, {})
        if wanted not in views:
            views[wanted] = dataclasses.replace(model, spec=detect(model.spec.path, prediction=wanted))
        return views[wanted]

    def holds(self, model: str | None, vae: str | None, ema: bool = False) -> bool:
        """Whether this model is in memory, as far as is known without reading anything."""
        try:
            return self._key(model, vae, ema) in self._models
        except InkwashError:
            return True  # a name that means nothing changes nothing

    def _key(self, name: str | None, vae: str | None, ema: bool) -> Key:
        entry = self.catalog.find(name)
        separate = self.catalog.vae_of(entry, vae)
        return entry.path, separate.path if separate else None, ema

    def _strict(self, request: GenerateRequest) -> bool:
        return self.compute.device.type == "cpu" if request.strict is None else request.strict

    def _origin(self, request: GenerateRequest) -> Origin:
        """Names and hashes of the files in use, as A1111 writes them."""
        entry = self.catalog.with_hash(self.catalog.find(request.model))
        vae = self.catalog.vae_of(entry, request.vae)
        vae = self.catalog.with_hash(vae) if vae else None
        return Origin(
            entry.name,
            _short(entry),
            vae.path.name if vae else None,
            _short(vae) if vae else None,
            hires_name=self._titled(request.hires.model if request.hires else None),
            refiner_name=self._titled(request.refiner),
        )

    def _titled(self, name: str | None) -> str | None:
        """A1111's way to name a second model: "name [hash]"."""
        if not name:
            return None
        entry = self.catalog.with_hash(self.catalog.find(name))
        return f"{entry.name} [{_short(entry)}]" if entry.sha256 else entry.name


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


def _short(entry: Entry) -> str | None:
    return short_hash(entry.sha256) if entry.sha256 else None


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
