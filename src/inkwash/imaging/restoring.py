"""The faces of a picture restored: each found, brought upright, restored and put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from inkwash.imaging.alignment import cut_out, paste_back, upright
from inkwash.imaging.faces import FaceFinder
from inkwash.imaging.restorers import FaceRestorer
from inkwash.imaging.upscale import Pieces, at_once

NO_FACE = "No face was found in the picture, so none was restored."


@dataclass(frozen=True, eq=False)
class Restoring:
    """How the faces of pictures are restored.

    visibility: 0..1, of the restored over what was there.  weight: CodeFormer's, see ``FaceRestorer``.
    """

    finder: FaceFinder
    restorer: FaceRestorer
    visibility: float = 1.0
    weight: float = 0.5

    def pieces(self, picture: Image.Image, note: Callable[[str], None] = lambda sentence: None) -> Pieces:
        """Yields the share that is done, face by face; returns the picture, with pixels away from faces as they were.

        picture: RGB.  note: told where no face is found; the picture then comes back unchanged.
        """
        faces = self.finder(picture)
        if not faces:
            note(NO_FACE)
        restored = picture.copy()
        for number, face in enumerate(faces):
            yield number / len(faces)
            to_face = upright(face.landmarks)
            paste_back(restored, self.restorer(cut_out(picture, to_face), self.weight), to_face, self.visibility)
        return restored

    def __call__(self, picture: Image.Image) -> Image.Image:
        """``pieces`` at once."""
        return at_once(self.pieces(picture))
