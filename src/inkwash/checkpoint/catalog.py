"""The models a person has and what a name given for one means."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inkwash.checkpoint import places
from inkwash.checkpoint.beside import Beside, beside, picture_of
from inkwash.checkpoint.folder import is_pipeline
from inkwash.checkpoint.hashes import HashCache, old_hash, short_hash
from inkwash.checkpoint.places import NETWORK_SUFFIXES, SUFFIXES, VAE_SUFFIXES, Kind
from inkwash.core.errors import InvalidRequest, ModelNotFound

BOX = Path(__file__).parents[1] / "box"  # the model that ships with Inkwash, and in a folder of its own its upscaler
_TITLE = re.compile(r"(.*?)\s*\[([0-9a-fA-F]{8,64})\]")
_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
_NOUNS: dict[Kind, str] = {"model": "model", "vae": "VAE", "upscaler": "upscaler", "face restorer": "face restorer"}
_BOXED: dict[Kind, str] = {"model": "*", "upscaler": "upscalers/*"}


@dataclass(frozen=True)
class Entry:
    """One model, VAE or upscaler: a .safetensors, .ckpt, .pt or .pth file, or the folder of a diffusers pipeline."""

    path: Path
    kind: Kind
    relative: str  # below its folder, with "/": "anime/foo.safetensors"
    sha256: str | None = None  # None until it was computed once; folders have none

    @property
    def name(self) -> str:
        """What people call it: the file name without ending, or the folder's name."""
        return _without_suffix(self.path.name)

    @property
    def title(self) -> str:
        """A1111's title: "foo.safetensors [6ce0161689]"; without brackets while the hash is not known."""
        return f"{self.relative} [{short_hash(self.sha256)}]" if self.sha256 else self.relative


class Catalog:
    """Models, VAEs and upscalers under some roots: an A1111 or ComfyUI folder, its ``models``, or any folder of files.

    Folders are read anew on every call, so new files appear at once.  confined: paths outside the roots and links that
    lead out of them are not served, as a server wants it; a person at a keyboard may use both.
    """

    def __init__(
        self, roots: Sequence[Path], hashes: HashCache | None = None, box: Path = BOX, *, confined: bool = False
    ) -> None:
        self.roots = tuple(roots)
        self.hashes = hashes or HashCache()
        self.box = box
        self.confined = confined
        self._real_roots = tuple(map(os.path.realpath, self.roots))

    def entries(self, kind: Kind = "model") -> list[Entry]:
        """All of one kind by name; what is in the box stands first."""
        found = [self._entry(path, folder, kind) for root in self.roots for folder, path in self._files(root, kind)]
        unique = {os.path.realpath(entry.path): entry for entry in reversed(found)}
        box = sorted(self.box.glob(_BOXED[kind] + SUFFIXES[0])) if kind in _BOXED else []
        boxed = [self._entry(path, path.parent, kind) for path in box if os.path.realpath(path) not in unique]
        return boxed + sorted(unique.values(), key=lambda entry: entry.relative.casefold())

    def find(self, name: str | None, kind: Kind = "model") -> Entry:
        """The one that ``name`` means: title, relative path, file name, stem, hash (8 digits or more) or path.

        None or "": the first, which is the model in the box.  Case counts only where it decides.  A hash in a title
        must agree with the file.  Raises ModelNotFound with near misses; InvalidRequest if several files fit.
        """
        entries = self.entries(kind)
        if not name and entries:
            return entries[0]
        text = (name or "").strip()
        title = _TITLE.fullmatch(text)
        stem, digits = (title[1], title[2].lower()) if title else (text, "")
        named = _named(stem, entries)
        if digits:
            named = [entry for entry in named if self._has_hash(entry, digits)]
        elif _HASH.fullmatch(text):
            digits = text.lower()
        chosen = _one_of(named, text) or self._hashed(entries, digits) or self._at_path(text, kind)
        if chosen is None:
            raise self._not_found(text, entries, kind)
        return self.with_hash(chosen) if digits else chosen

    def vae_of(self, model: Entry, vae: str | None) -> Entry | None:
        """The separate VAE to draw ``model``'s pictures with; None for the one inside its file.

        vae: a name as in ``find``; "None"; or None or "Automatic": the file MODEL.vae.safetensors (.vae.pt, .vae.ckpt)
        beside the model or among the VAEs, or a VAE that bears the model's name, if there is one.
        """
        if vae and vae.lower() not in ("automatic", "none"):
            return self.find(vae, "vae")
        if vae and vae.lower() == "none":
            return None
        for own in (model.path.with_name(model.name + suffix) for suffix in VAE_SUFFIXES):
            if own.is_file() and self.allows(own):
                return self._entry(own, own.parent, "vae")
        namesakes = [model.name + suffix for suffix in (*VAE_SUFFIXES, *SUFFIXES)]
        return next((entry for entry in self.entries("vae") if entry.path.name in namesakes), None)

    def beside(self, entry: Entry) -> Beside:
        """The picture and the notes that lie beside it."""
        return beside(entry.path, self.allows)

    def picture(self, entry: Entry) -> Path | None:
        """The picture alone."""
        return picture_of(entry.path, self.allows)

    def with_hash(self, entry: Entry, *, save: bool = True) -> Entry:
        """``entry`` with its SHA-256, computed now if it is not known yet; a folder stays without."""
        if entry.sha256 or entry.path.is_dir():
            return entry
        return replace(entry, sha256=self.hashes.sha256(entry.path, save=save))

    def _files(self, root: Path, kind: Kind) -> Iterator[tuple[Path, Path]]:
        return (pair for pair in places.files(root, kind) if self.allows(pair[1]))

    def _entry(self, path: Path, folder: Path, kind: Kind) -> Entry:
        known = self.hashes.known(path) if path.is_file() else None
        return Entry(path, kind, path.relative_to(folder).as_posix(), known)

    def allows(self, path: Path) -> bool:
        """Whether a file may be served: one below the roots, links followed, where the catalog is confined."""
        if not self.confined:
            return True
        real = os.path.realpath(path)  # unlike Path.resolve it bears links that lead in a circle
        return any(real == root or real.startswith(os.path.join(root, "")) for root in self._real_roots)

    def _has_hash(self, entry: Entry, digits: str) -> bool:
        if not entry.path.is_file():
            return False
        known = entry.sha256 or self.hashes.sha256(entry.path)
        return known.startswith(digits) or (len(digits) == 8 and old_hash(entry.path) == digits)

    def _hashed(self, entries: Sequence[Entry], digits: str) -> Entry | None:
        """The file with that hash; files whose hash is known come first, the rest is read until one fits."""
        if not digits:
            return None
        known_first = sorted(entries, key=lambda entry: entry.sha256 is None)
        return next((entry for entry in known_first if self._has_hash(entry, digits)), None)

    def _at_path(self, name: str, kind: Kind) -> Entry | None:
        path = Path(os.path.expanduser(name))
        is_path = os.path.isfile(path) or is_pipeline(path) or (os.path.exists(path) and path.name != name)
        return Entry(path, kind, path.name) if name and is_path and self.allows(path) else None

    def _not_found(self, name: str, entries: Sequence[Entry], kind: Kind) -> ModelNotFound:
        noun = _NOUNS[kind]
        searched = [self._shown(folder) for root in self.roots for folder in places.folders(root, kind) or [root]]
        looked = ", ".join(searched) or "no folder, for none is set"
        if not entries:
            home = searched[0] if searched else f"models/{places.FOLDERS[kind][0]}"
            message = f"No {noun} called {name[:80]!r}: there are none at all in {looked}."
            return ModelNotFound(message, f"Put .safetensors files into {home}{self._or_path('one')}.")
        message = f"No {noun} called {name[:80]!r} in {looked}."
        names = {entry.name.casefold(): entry.name for entry in entries}
        near = difflib.get_close_matches(_without_suffix(name.casefold()), names, n=3, cutoff=0.5)
        if near:
            return ModelNotFound(message, f"Did you mean {' or '.join(names[match] for match in near)}?")
        known = ", ".join(list(names.values())[:5])
        root = next(iter(self.roots), Path())
        home = self._shown(next(iter(places.folders(root, kind)), root / "models" / places.FOLDERS[kind][0]))
        return ModelNotFound(message, f"Known are: {known}.  Put others into {home}{self._or_path('a file')}.")

    def _shown(self, folder: Path) -> str:
        """A folder in words; strangers are not told where it is."""
        if not self.confined:
            return str(folder)
        root = next((root for root in self.roots if folder.is_relative_to(root)), folder)
        return folder.relative_to(root).as_posix() if folder != root else "the models' folder"

    def _or_path(self, what: str) -> str:
        return "" if self.confined else f", or give the path of {what}"


def _named(name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Those a name fits best: exactly before regardless of case, the whole relative path before its last part."""
    parts: list[Callable[[Entry], str]] = [
        lambda entry: entry.relative,
        lambda entry: _without_suffix(entry.relative),
        lambda entry: entry.path.name,
        lambda entry: entry.name,
    ]
    wanted = name.replace("\\", "/")
    for fold in (str, str.casefold):
        for part in parts:
            if found := [entry for entry in entries if fold(part(entry)) == fold(wanted)]:
                return found
    return []


def _one_of(entries: Sequence[Entry], name: str) -> Entry | None:
    """The only entry.  Raises InvalidRequest if there are several, as no order among them would be the person's.

    A file and its conversion beside it are one: the .safetensors file is meant.
    """
    if len({_without_suffix(str(entry.path)) for entry in entries}) == 1:
        return min(entries, key=lambda entry: not entry.path.name.lower().endswith(SUFFIXES[0]))
    if len(entries) > 1:
        paths = ", ".join(str(entry.path) for entry in entries)
        raise InvalidRequest(f"{name!r} fits {len(entries)} files: {paths}.", "Use the path of the one you mean.")
    return None


def _without_suffix(name: str) -> str:
    suffix = next((suffix for suffix in NETWORK_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]
