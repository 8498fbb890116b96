"""The command line.  ``main`` is the program; importing this costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inkwash.cli.drawing import OpenEngine


def main(arguments: Sequence[str] | None = None, open_engine: OpenEngine | None = None) -> int:
    """Run a command and return its exit status.  arguments None: those of the process; open_engine: for tests."""
    from inkwash.cli.app import run

    return run(arguments, open_engine)
