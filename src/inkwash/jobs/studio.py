"""Where a worker draws: one engine, one session, each job's progress told and its pictures kept."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inkwash.core import extras, images, wire
from inkwash.core.blobs import Blobs
from inkwash.core.errors import DamagedFile
from inkwash.generation import explain
from inkwash.generation import extras as enlarge
from inkwash.generation.engine import Engine
from inkwash.generation.preview import Previews
from inkwash.generation.run import Run
from inkwash.generation.session import Ended, Session, Work
from inkwash.jobs.inbox import Will
from inkwash.jobs.making import Made, Maker, Makings
from inkwash.jobs.protocol import Bench, Glimpse, Lease
from inkwash.jobs.telling import Teller

PAUSE = 0.2
"""Seconds to wait for a model that is being written, where nothing is drawn beside it."""


class Studio:
    """Implements ``drawing.Easel``.  What ends comes with its warnings as value: pictures are kept as they are drawn.

    strict: for requests that leave it open; None: the engine's own.  blobs: the pictures that requests start from.
    """

    def __init__(
        self, engine: Engine, bench: Bench, glimpse: Callable[[Glimpse], None], *, side_by_side: int,
        strict: bool | None, blobs: Blobs,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.bench = bench
        self.glimpse = glimpse
        self.strict = strict
        self.blobs = blobs
        self.session = Session(engine, side_by_side)
        self.makings = Makings(Maker(engine.catalog, bench, glimpse))
        self.previews = Previews()
        self._model: str | None = None
        self._tellers: dict[int, Teller] = {}
        self._pace: float | None = None

    def __len__(self) -> int:
        return len(self.session) + len(self.makings)

    def fits(self, lease: Lease) -> bool:
        """Extras need no model, and written models only their files, so they join whoever draws."""
        asked = lease.request
        if lease.kind in ("model", "extras"):
            return True
        return self.session.fits(asked.get("model"), asked.get("vae"), bool(asked.get("ema")))

    def add(self, lease: Lease, will: Will) -> int:
        if lease.kind == "model":
            return self.makings.begin(lease, will.cancelled)
        teller = Teller(lease, self.bench, self.glimpse, will)
        if lease.kind == "extras":
            return self._taken(self._extras(lease, teller), teller)
        if lease.kind == "explain":
            work = self._explained(lease, teller)
        else:
            request = wire.from_json(lease.request, self.blobs.find)
            if request.strict is None:
                request = dataclasses.replace(request, strict=self.strict)
            work = _unkept(self.session.work(request, teller), teller)
        model = self.session.model(work.request.model, work.request.vae, ema=work.request.ema)
        teller.preview, self._model = self.previews.of(model).preview, model.spec.name
        return self._taken(work, teller)

    def _taken(self, work: Work, teller: Teller) -> int:
        ticket = self.session.take(work)
        self._tellers[ticket] = teller
        return ticket

    def cancel(self, ticket: int) -> None:
        self.session.cancel(ticket)
        self.makings.cancel(ticket)
        self._tellers.pop(ticket, None)

    def step(self) -> Sequence[Ended | Made]:
        ended = self.session.step()
        for one in ended:
            teller = self._tellers.pop(one.ticket, None)
            self._pace = teller.seconds_per_step if teller else self._pace
        return [*ended, *self.makings.ended(0.0 if len(self.session) else PAUSE)]

    def _explained(self, lease: Lease, teller: Teller) -> Work:
        values = dict(lease.request)
        cfgs, noise = values.pop("cfgs", ()), values.pop("noise", None)
        request, keep = wire.from_json(values), self._keeper(lease)
        if noise is None:
            return explain.drawing(self.session, request, cfgs, teller, keep)
        picture = _opened(Path(noise["picture"]))
        return explain.noising(self.session, request, picture, noise["ts"], noise["seed"], keep)

    def _extras(self, lease: Lease, teller: Teller) -> Work:
        """PNG, whatever pictures are drawn as: it alone has room for both texts."""

        def keep(index: int, picture: Image.Image, infotext: str, told: str) -> None:
            data = images.encode(picture, infotext, texts={"postprocessing": told} if told else {})
            facts = {"width": picture.width, "height": picture.height, "infotext": infotext, "postprocessing": told}
            self.bench.keep(lease, str(index), "image/png", data, facts)

        asked, engine = extras.from_json(lease.request, self.blobs.find), self.engine
        return enlarge.enlarging(asked, engine.upscaler, engine.faces, teller, keep)

    def _keeper(self, lease: Lease) -> explain.Keep:
        def keep(name: str, media: str, data: bytes) -> None:
            self.bench.keep(lease, name, media, data, {})

        return keep

    def load(self, model: str | None) -> None:
        self._model = self.session.model(model).spec.name

    def unload(self) -> None:
        self.session.forget()
        self.engine.close()
        self._model = None
        self.clear()

    def clear(self) -> None:
        gc.collect()
        if self.engine.compute.device.type == "cuda":
            torch.cuda.empty_cache()

    def facts(self) -> Mapping[str, Any]:
        compute = self.engine.compute
        free, total = torch.cuda.mem_get_info(compute.device) if compute.device.type == "cuda" else (None, None)
        return {
            "model": self._model,
            "device": str(compute.device),
            "dtype": str(compute.dtype).removeprefix("torch."),
            "seconds_per_step": self._pace,
            "gpu_free": free,
            "gpu_total": total,
        }


def _opened(path: Path) -> Image.Image:
    """A picture that somebody sent.  Raises DamagedFile, and for its header before its pixels are unpacked."""
    images.read_metadata(path)
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise DamagedFile(f"{path.name} is damaged: {error}.", "Send the original file.") from error


def _unkept(work: Work, teller: Teller) -> Work:
    """The same, forgetting each picture once it is told of: a job of thousands takes no more memory than one of few.

    What is not wanted any more is not begun.
    """
    return dataclasses.replace(work, batches=_wanted(work, teller), finish=lambda values: work.warnings)


def _wanted(work: Work, teller: Teller) -> Iterator[list[Run[None]]]:
    numbers = count()
    for batch in work.batches:
        if teller.will.interrupted():
            return
        yield [_forgetting(run, next(numbers), teller) for run in batch]


def _forgetting(run: Run[Any], picture: int, teller: Teller) -> Run[None]:
    if teller.wanted(picture):
        yield from run
