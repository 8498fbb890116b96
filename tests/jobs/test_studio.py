"""The worker's studio, on the model in the box."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from tests.jobs.conftest import Room

from inkwash.core.blobs import Blobs
from inkwash.generation.engine import Engine
from inkwash.jobs.inbox import Inbox, Will
from inkwash.jobs.protocol import Lease
from inkwash.jobs.studio import Studio


def test_a_model_that_is_let_go_is_gone_and_comes_back(room: Room, tmp_path: Path) -> None:
    """Nothing that was drawn, shown or remembered keeps its memory."""
    engine = Engine(models_dir=tmp_path, device="cpu", dtype="float32")
    studio = Studio(engine, room.store, lambda glimpse: None, side_by_side=2, strict=None, blobs=Blobs.of(tmp_path))

    def drawn() -> Lease:
        room.submit(request={"prompt": "a cat", "seed": 1, "steps": 2, "width": 64, "height": 64})
        lease = room.claim()
        studio.add(lease, Will(Inbox(), lease.job))
        while len(studio):
            for ended in studio.step():
                assert ended.error is None
        room.store.finish(lease)
        return lease

    drawn()
    known = weakref.ref(engine.model(None).unet)
    assert studio.facts()["model"] == "inkwash-box"
    studio.unload()
    gc.collect()
    assert known() is None
    assert studio.facts()["model"] is None
    lease = drawn()
    assert len(room.store.get(lease.job).items) == 1
