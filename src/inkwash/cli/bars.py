"""A bar for what takes long: on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, *, bytes_: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Gives the function to tell how much is done, and of how much.  bytes_: show speed and size too."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, ProgressColumn, TransferSpeedColumn

    console = Console(stderr=True)
    more: tuple[ProgressColumn, ...] = (DownloadColumn(), TransferSpeedColumn()) if bytes_ else ()
    columns = (*Progress.get_default_columns(), *more)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
