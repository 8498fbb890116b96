"""Models kept ready: found by name, loaded in the way that fits memory, let go of when others need the room."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from weakref import WeakKeyDictionary

from inkwash.checkpoint import Catalog, ModelSpec, detect
from inkwash.checkpoint.spec import Prediction
from inkwash.core import settings
from inkwash.core.choices import prediction_named
from inkwash.core.errors import InkwashError
from inkwash.core.estimates import unet_memory
from inkwash.core.progress import Loading, Progress
from inkwash.core.request import GenerateRequest
from inkwash.models.sparing import POLICIES, Policy, held_size, load_by
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import Compute
from inkwash.runtime.memory import available_memory, weights_budget
from inkwash.runtime.shelf import Shelf

PREDICTION_OF: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}

Key = tuple[Path, Path | None, bool]
"""What tells models in memory apart: file, separate VAE, whether the U-Net is the EMA copy."""


class Stock:
    """memory: how many models stay ready, in how many GB, and by which policy they are loaded."""

    def __init__(self, catalog: Catalog, compute: Compute, memory: settings.Memory) -> None:
        self.catalog, self.compute, self.memory = catalog, compute, memory
        self.limit = int(memory.limit * 1e9) or None
        budget = weights_budget(compute.device, memory.gigabytes)
        self._models: Shelf[Key, StableDiffusion] = Shelf(memory.models, budget)
        self._views: WeakKeyDictionary[StableDiffusion, dict[str, StableDiffusion]] = WeakKeyDictionary()
        self._policies: dict[Key, Policy] = {}  # of models that were loaded

    def clear(self) -> None:
        self._models.clear()

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
        """Bytes that may still be taken where models compute."""
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

    def lighten(self, request: GenerateRequest) -> bool:
        """Have the request's model loaded by the next policy when it is asked for; False: there is none to go to."""
        key = self._key(request.model, request.vae, request.ema)
        after = POLICIES.index(self._policies.get(key, POLICIES[-1])) + 1
        if self.memory.policy in POLICIES or after == len(POLICIES):
            return False
        self._policies[key] = POLICIES[after]
        self._models.drop(key)
        return True

    def predicting(self, model: StableDiffusion, request: GenerateRequest) -> StableDiffusion:
        """The model, taken to predict what the request says: the same weights, and the same view for every request."""
        if request.prediction is None:
            return model
        wanted = PREDICTION_OF[prediction_named(request.prediction)]
        views = self._views.setdefault(model, {})
        if wanted not in views:
            views[wanted] = dataclasses.replace(model, spec=detect(model.spec.path, prediction=wanted))
        return views[wanted]

    def notes(self, request: GenerateRequest) -> list[str]:
        """That a model is not all in memory, where nobody asked for that."""
        policy = self._policies.get(self._key(request.model, request.vae, request.ema), "resident")
        if policy == "resident" or self.memory.policy in POLICIES:
            return []
        return [f"Memory is short: the model's weights come in part by part (policy {policy}), which takes longer."]

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
