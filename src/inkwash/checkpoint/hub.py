"""A hub of models as Hugging Face's is: what a repository holds, and one file of it, continued and checked.

``huggingface_hub`` speaks to it, so HF_ENDPOINT (a mirror), HF_TOKEN and proxies act as everywhere; docs/decisions/0012
says what is taken from it and what is not.  Nothing is imported or asked before a person pulls something.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from inkwash.checkpoint.header import MAX_HEADER, Header, parse_header
from inkwash.core import files
from inkwash.core.errors import DamagedFile, InkwashError, ModelNotFound

Progress = Callable[[int, int], None]
"""Bytes that are here, bytes in all."""

_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
_PART = re.compile(r"(?!\.)[\w.,()+@=\[\] -]{1,200}")  # of a path in a repository; no "..", no hidden name
MIRROR = "Check the network.  Where the hub is blocked, a mirror may help: HF_ENDPOINT=https://hf-mirror.com"


class HubError(InkwashError):
    """The hub cannot be reached, or does not give what was asked for."""


@dataclass(frozen=True)
class RemoteFile:
    """sha256: of large files; blob: of the others, git's own hash."""

    name: str  # with "/"
    size: int
    sha256: str | None
    blob: str | None

    @property
    def mark(self) -> str:
        """What tells this content from another of the same name."""
        return (self.sha256 or self.blob or str(self.size))[:16]


@dataclass(frozen=True)
class Repository:
    name: str  # "owner/name"
    commit: str
    files: tuple[RemoteFile, ...]


class Hub:
    """endpoint, token: None: HF_ENDPOINT or huggingface.co; HF_TOKEN or the one that `hf auth login` keeps."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        named = endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        self.endpoint = named.rstrip("/")
        self.token = token

    def look(self, name: str) -> Repository:
        """What the repository holds now; files of odd names are passed over.  Raises HubError, ModelNotFound."""
        from huggingface_hub import HfApi

        if not _REPOSITORY.fullmatch(name):
            raise _no_name(name)
        with self._words(name):
            found = HfApi(endpoint=self.endpoint, token=self.token).model_info(name, files_metadata=True)
        if not found.sha:
            raise HubError(f"{self.endpoint} does not say which version of {name} it has.", MIRROR)
        held = [
            RemoteFile(one.rfilename, one.size, one.lfs.sha256 if one.lfs else None, one.blob_id)
            for one in found.siblings or ()
            if one.size is not None and all(_PART.fullmatch(part) for part in one.rfilename.split("/"))
        ]
        return Repository(name, found.sha, tuple(held))

    def header(self, repository: Repository, file: RemoteFile) -> Header:
        """The header of a .safetensors file that is still on the hub.  Raises HubError, DamagedFile."""
        start = self._first(repository, file, 8)
        length = min(int.from_bytes(start, "little"), MAX_HEADER)
        text = self._first(repository, file, 8 + length) if 8 + length <= file.size else start
        return parse_header(Path(repository.name) / file.name, io.BytesIO(text), file.size)

    def fetch(self, repository: Repository, file: RemoteFile, target: Path, progress: Progress) -> None:
        """Put the file under ``target``, whole and with the hub's checksum, or not at all.

        What was fetched stays in a hidden file beside it, where the next call continues.  Raises HubError, DamagedFile,
        CannotWrite.
        """
        part = part_of(target, file)
        with files.in_words(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file() and target.stat().st_size == file.size and matches(target, file):
                return
            self._continue(repository, file, part, progress)
            if not matches(part, file):
                part.unlink()
                message = f"{file.name} of {repository.name} arrived with another checksum than {self.endpoint} states."
                raise DamagedFile(message, "It was thrown away.  Try again; if it stays, use another mirror or none.")
            os.replace(part, target)

    def _continue(self, repository: Repository, file: RemoteFile, part: Path, progress: Progress) -> None:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import silent_tqdm

        here = part.stat().st_size if part.exists() else 0
        if here > file.size:
            part.unlink()
            here = 0
        with _Told(part, file.size, progress) as opened, self._words(repository.name):
            progress(here, file.size)
            http_get(
                self._url(repository, file),
                cast(BinaryIO, opened),
                resume_size=here,
                headers=self._headers(),
                expected_size=file.size,
                tqdm_class=silent_tqdm,
            )
            opened.flush()
            os.fsync(opened.fileno())

    def _first(self, repository: Repository, file: RemoteFile, count: int) -> bytes:
        """The first bytes of a file, though the server may ignore that only these are wanted."""
        from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff

        headers = {**self._headers(), "Range": f"bytes=0-{count - 1}"}
        got = b""
        with (
            self._words(repository.name),
            http_stream_backoff("GET", self._url(repository, file), headers=headers, timeout=10) as response,
        ):
            hf_raise_for_status(response)
            for chunk in response.iter_bytes(2**16):
                got += chunk
                if len(got) >= count:
                    break
        return got[:count]

    def _url(self, repository: Repository, file: RemoteFile) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(repository.name, file.name, revision=repository.commit, endpoint=self.endpoint)

    def _headers(self) -> dict[str, str]:
        """The token goes to the hub alone: the library drops it where a redirect leads to another host."""
        from huggingface_hub.utils import build_hf_headers

        return {**build_hf_headers(token=self.token, library_name="inkwash"), "Accept-Encoding": "identity"}

    @contextmanager
    def _words(self, name: str) -> Iterator[None]:
        """What the library raises, as something a person can act on."""
        import httpx2
        from huggingface_hub import errors

        try:
            yield
        except errors.HFValidationError as error:
            raise ModelNotFound(
                f"{name[:80]!r} is no repository's name.", "Write it as on the hub: owner/name."
            ) from error
        except errors.GatedRepoError as error:
            message = f"The makers of {name} give it only to people who accepted their terms."
            remedy = f"Accept them at {self.endpoint}/{name}, make a token there under Settings, set HF_TOKEN to it."
            raise HubError(message, remedy) from error
        except errors.RepositoryNotFoundError as error:
            message = f"{self.endpoint} has no model {name}, or keeps it private."
            raise HubError(message, "Check the name; for a private one set HF_TOKEN.") from error
        except errors.RemoteEntryNotFoundError as error:
            raise HubError(f"The file is not in {name} any more.", "Look at the repository's page.") from error
        except errors.OfflineModeIsEnabled as error:
            raise HubError("HF_HUB_OFFLINE is set, so nothing is fetched.", "Unset it to pull models.") from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "no"
            message = f"{self.endpoint} answered with status {status} for {name}."
            remedy = "Check HF_TOKEN." if status in (401, 403) else "Try again later; what was fetched is kept."
            raise HubError(message, remedy) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            message = f"{self.endpoint} cannot be reached, or broke off: {error or type(error).__name__}."
            raise HubError(message, f"{MIRROR}  What was fetched is kept: the same command goes on.") from error
        except OSError as error:
            if error.errno is not None:  # the disk's; the library's own has no number
                raise
            message = f"{self.endpoint} sent another number of bytes of {name} than it had stated."
            raise HubError(message, "Try again: what was fetched is kept.") from error


class _Told(io.BufferedWriter):
    """A file that is written on from its end, and tells how long it is."""

    def __init__(self, path: Path, size: int, progress: Progress) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._size, self._progress = size, progress

    def write(self, data: object) -> int:
        written = super().write(data)  # type: ignore[arg-type]
        self._progress(min(self.tell(), self._size), self._size)
        return written


def _no_name(name: str) -> ModelNotFound:
    return ModelNotFound(f"{name[:80]!r} is no repository's name.", "Write it as on the hub: owner/name.")


def part_of(target: Path, file: RemoteFile) -> Path:
    """Where a file grows until it is whole."""
    return target.with_name(f".{target.name[:180]}.{file.mark}.part")


def matches(path: Path, file: RemoteFile) -> bool:
    """Whether a file's bytes are those the hub speaks of."""
    if path.stat().st_size != file.size:
        return False
    with path.open("rb") as opened:
        if file.sha256 is not None:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
        if file.blob is None:
            return False
        return hashlib.sha1(b"blob %d\0" % file.size + opened.read(), usedforsecurity=False).hexdigest() == file.blob
