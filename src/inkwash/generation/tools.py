"""Networks beside the models that a request may need: upscalers, face restorers, depth estimators, kept ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inkwash.checkpoint import Catalog, Entry
from inkwash.checkpoint.restorers import find_restorer
from inkwash.checkpoint.upscalers import find_upscaler
from inkwash.core.choices import PICTURE_UPSCALERS
from inkwash.core.extras import FaceRestoration
from inkwash.imaging import learned
from inkwash.imaging.depth import DepthEstimator, find_estimator, load_estimator, own_estimator
from inkwash.imaging.faces import finder
from inkwash.imaging.learned import Learned
from inkwash.imaging.restorers import FaceRestorer, load_restorer
from inkwash.imaging.restoring import Restoring
from inkwash.imaging.upscale import Resampling, Upscaler
from inkwash.models.stable_diffusion import StableDiffusion
from inkwash.runtime.device import Compute
from inkwash.runtime.memory import available_memory
from inkwash.runtime.shelf import Shelf

UPSCALERS_KEPT, RESTORERS_KEPT = 3, 2


class Tools:
    """folder: the models folder that estimators lie in; budget: bytes that upscalers may hold, and restorers."""

    def __init__(self, catalog: Catalog, folder: Path, compute: Compute, budget: int) -> None:
        self.catalog, self.folder, self.compute = catalog, folder, compute
        self._depth: tuple[Path, DepthEstimator] | None = None  # the one used last
        self._upscalers: Shelf[Path, Learned] = Shelf(UPSCALERS_KEPT, budget)
        self._restorers: Shelf[Path, FaceRestorer] = Shelf(RESTORERS_KEPT, budget)

    def clear(self) -> None:
        self._upscalers.clear()
        self._restorers.clear()
        self._depth = None

    def upscaler(self, name: str, near: Sequence[str] = ()) -> Upscaler:
        """What enlarges pictures under that name; a learned one is loaded now unless it is still in memory.

        near: further names that an error may propose.  Raises InvalidRequest with the nearest names, DamagedFile,
        UnsupportedModel.
        """
        found = find_upscaler(self.catalog, name, PICTURE_UPSCALERS, near)
        return Resampling(found) if isinstance(found, str) else self._learned(found)

    def _learned(self, entry: Entry) -> Learned:
        upscaler = self._upscalers.get(entry.path)
        if upscaler is None:
            self._upscalers.make_room(entry.path.stat().st_size, available_memory(self.compute.device))
            upscaler = learned.load(entry.path, self.compute, entry.name)
            self._upscalers.put(entry.path, upscaler, upscaler.nbytes)
        return upscaler

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
