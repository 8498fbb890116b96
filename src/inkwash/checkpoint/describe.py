"""What a model file tells of itself: for people, without reading a weight."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inkwash.checkpoint.detect import detect
from inkwash.checkpoint.files import read_header
from inkwash.checkpoint.hashes import HashCache, auto_v2, kohya_hash, old_hash, short_hash
from inkwash.checkpoint.header import Header
from inkwash.core.errors import DamagedFile, UnsupportedModel

TAGS = 50  # of training, most frequent first
QUICK = 2**30  # bytes; of larger files, which kohya's programs do not make, they are not read a second time


def describe(path: Path, hashes: HashCache) -> dict[str, Any]:
    """Family and sizes (or why it is no checkpoint), tensors, dtypes, hashes, training tags, metadata."""
    header = read_header(path)
    return {
        "path": str(path),
        **_model(path),
        "tensors": len(header.tensors),
        "bytes": sum(info.nbytes for info in header.tensors.values()),
        "dtypes": _dtypes(header),
        "hashes": _hashes(path, hashes, header),
        "tags": training_tags(header),
        "metadata": dict(header.metadata),
    }


def _model(path: Path) -> dict[str, Any]:
    try:
        spec = asdict(detect(path))
    except (UnsupportedModel, DamagedFile) as error:
        return {"family": None, "reason": error.message}
    del spec["path"]
    return {"reason": None, **spec}


def _dtypes(header: Header) -> dict[str, int]:
    """Bytes of each dtype, most first."""
    amounts: dict[str, int] = {}
    for info in header.tensors.values():
        amounts[info.dtype] = amounts.get(info.dtype, 0) + info.nbytes
    return dict(sorted(amounts.items(), key=lambda item: -item[1]))


def _hashes(path: Path, hashes: HashCache, header: Header) -> dict[str, str]:
    """By the names people know them by; none of a folder."""
    if path.is_dir():
        return {}
    full = hashes.sha256(path)
    told = {"sha256": full, "short": short_hash(full), "AutoV2": auto_v2(full), "old": old_hash(path)}
    kohya = header.metadata.get("sshs_model_hash")
    if not kohya and path.suffix.lower() == ".safetensors" and path.stat().st_size < QUICK:
        kohya = kohya_hash(path)
    return told | ({"kohya": kohya, "AutoV3": kohya[:12].upper()} if kohya else {})


def training_tags(header: Header) -> dict[str, int]:
    """How often each tag stood in the training captions, from kohya's ``ss_tag_frequency``; the most frequent."""
    try:
        folders = json.loads(header.metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        return {}
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int):
                counts[tag.strip()] = counts.get(tag.strip(), 0) + count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TAGS])
