"""``--save-steps``: every step's picture and a plot of the noise schedule, in a folder beside the finished picture."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from inkwash.cli.schedule_plot import plot
from inkwash.core import files, images
from inkwash.core.progress import Step


class StepPictures:
    """Step pictures of the pictures under way, each in a hidden folder until its picture has a name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sigmas: tuple[float, ...] = ()
        self._unfinished: dict[int, Path] = {}

    def begin(self, sigmas: tuple[float, ...]) -> None:
        """sigmas: the noise schedule, descending."""
        self.sigmas = sigmas

    def add(self, step: Step) -> None:
        """Decode and write one step.  Raises CannotWrite."""
        folder = self._unfinished.get(step.image)
        if folder is None:
            files.make_folder(self.folder)
            folder = self._unfinished[step.image] = Path(tempfile.mkdtemp(dir=self.folder, prefix=".steps-"))
        digits = len(str(step.steps))
        images.save(step.preview(), folder / f"step-{step.step:0{digits}}.png", f"sigma: {step.sigma:.4f}")

    def finish(self, image: int, picture: Path) -> Path:
        """Name the folder after the picture and return it; an older one of that name gives way."""
        target = picture.with_name(f"{picture.stem}-steps")
        folder = self._unfinished.pop(image, None)
        if folder is None:
            files.make_folder(target)
            folder = target
        if len(self.sigmas) > 1:  # a picture at strength 0 has no steps
            images.save(plot(self.sigmas), folder / "schedule.png")
        if folder != target:
            folder.chmod(0o777 & ~files.umask())
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
        return target

    def remove_unfinished(self) -> None:
        for folder in self._unfinished.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._unfinished.clear()
