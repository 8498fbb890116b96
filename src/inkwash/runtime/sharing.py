"""Strict mode's proof that pictures may share a network call.

Matrix kernels pick their blocking by the number of rows, so a picture's rows can come out differently rounded in a
larger call.  Which sizes are harmless depends on the machine and its libraries.  It is never assumed: the rows are
computed both ways a few times, compared bit by bit, and only then shared.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Hashable
from pathlib import Path

import torch

from inkwash.core.files import make_folder, write

PROOFS = 2
"""Equal comparisons needed before rows share a call: of different steps, hence of different numbers."""

UNEQUAL = -1
"""Recorded instead of a count once a comparison has failed."""


class SharingCheck:
    """Remembers, for each kind of call, whether k rows come out of a call of R rows as they do from their own.

    ``signature`` says what the kernels' choice can hang on: network structure, dtype, latent and context shapes.  The
    machine (CPU, thread count, torch version) is added here.  One unequal comparison settles a size for good.
    Not for several threads at once: it belongs to one loop.

    folder: where to keep the answers between runs; None: in memory only.
    """

    def __init__(self, folder: Path | None = None, proofs: int = PROOFS) -> None:
        self.proofs = proofs
        self._file = folder / "sharing.json" if folder else None
        self._equal: dict[str, int] = _read(self._file) if self._file else {}

    def trusted(self, signature: Hashable, k: int, rows: int) -> bool | None:
        """True: share.  False: never.  None: not proven yet; compute both ways and ``record`` the outcome.

        k: rows of one picture.  rows: rows of the whole call, at least k.
        """
        if k == rows:
            return True
        equal = self._equal.get(_key(signature, k, rows), 0)
        return None if 0 <= equal < self.proofs else equal > 0

    def record(self, signature: Hashable, k: int, rows: int, equal: bool) -> None:
        """Note one comparison of all pictures' rows, own calls against the shared one."""
        key = _key(signature, k, rows)
        before = self._equal.get(key, 0)
        self._equal[key] = before + 1 if equal and before >= 0 else UNEQUAL
        if self._file and self.trusted(signature, k, rows) is not None:
            make_folder(self._file.parent)
            write(self._file, json.dumps(self._equal, indent=1).encode())


def _key(signature: Hashable, k: int, rows: int) -> str:
    machine = (platform.machine(), _cpu(), torch.__version__, torch.get_num_threads())
    return f"{k} of {rows} rows, {signature!r}, {machine!r}"


def _cpu() -> str:
    """The CPU's instruction sets and caches: what kernels are chosen by."""
    return json.dumps(dict(sorted(torch.cpu.get_capabilities().items())))


def _read(file: Path) -> dict[str, int]:
    """Answers of earlier runs.  A file that is missing or unreadable only costs proving anew."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {key: equal for key, equal in kept.items() if type(equal) is int}
