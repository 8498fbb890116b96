"""What shapes cannot tell about a model: from metadata, a sidecar .yaml or a folder's configs, else a default."""

from __future__ import annotations

import re
from math import isqrt
from pathlib import Path

from inkwash.checkpoint.folder import read_json
from inkwash.checkpoint.header import Header
from inkwash.checkpoint.regular import damaged, opened
from inkwash.checkpoint.spec import Prediction

HEADS, SCALE_FACTOR = 8, 0.18215  # of Stable Diffusion 1.x
NATIVE_SIZE = 512  # pixels
MAX_YAML = 16_384  # bytes
MAX_NOTE = 200  # characters

_PREDICTIONS: dict[str, Prediction] = {
    **{"epsilon": "eps", "eps": "eps"},
    **{"v": "v", "v_prediction": "v", "v-prediction": "v", "velocity": "v"},
    **{"x0": "x0", "sample": "x0", "x": "x0"},
}


def prediction(header: Header, override: Prediction | None) -> tuple[Prediction, list[str]]:
    """What the U-Net predicts, and notes on what had to be assumed or contradicts."""
    if override is not None:
        return override, []
    stated = _stated_predictions(header)
    known = [(where, _PREDICTIONS[value]) for where, value in stated if value in _PREDICTIONS]
    notes = [
        f"{where} states the prediction type {v!r}, which is unknown" for where, v in stated if v not in _PREDICTIONS
    ]
    if not known:
        return "eps", [*notes, "no prediction type is stated; eps was assumed, as in nearly all SD 1.x models"]
    where, value = known[0]
    notes += [
        f"{other} says {found} prediction, but {where} ({value}) counts" for other, found in known if found != value
    ]
    return value, notes


def _stated_predictions(header: Header) -> list[tuple[str, str]]:
    """(where, value) of every statement, the one that counts most first."""
    metadata = header.metadata.get("modelspec.prediction_type")
    stated: list[tuple[str, object]] = [("metadata modelspec.prediction_type", metadata)]
    if "v_pred" in header.tensors:  # a marker that some trainers store as an empty tensor
        stated.append(("the tensor v_pred", "v"))
    stated.append(("the .yaml beside the file", _yaml_parameterization(header.path)))
    stated.append(("scheduler_config.json", _config(header, "scheduler/scheduler_config.json").get("prediction_type")))
    return [(where, str(value).strip().lower()) for where, value in stated if value is not None]


def _yaml_parameterization(path: Path) -> object:
    """``model.params.parameterization`` of MODEL.yaml beside MODEL.safetensors; None if there is none."""
    sidecar = path.with_suffix(".yaml")
    if path.is_dir() or not sidecar.is_file():
        return None
    import yaml

    with opened(sidecar) as (file, size):
        if size > MAX_YAML:
            raise damaged(sidecar, f"it is {size} bytes long; a model's .yaml has at most {MAX_YAML}")
        text = file.read(size)
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise damaged(sidecar, f"it is not valid YAML: {reason}", "Correct it, or remove it.") from None
    for key in ("model", "params", "parameterization"):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def own_note(header: Header) -> str:
    """What the maker of a file wants told to whoever draws with it: metadata ``inkwash.note``."""
    return header.metadata.get("inkwash.note", "")[:MAX_NOTE]


def heads(header: Header) -> tuple[int, ...]:
    """Attention heads of each U-Net level, or one number for all.

    From metadata ``inkwash.heads`` ("8" or "4,8,8,8"), a folder's unet/config.json, else 8.  In configs without
    ``num_attention_heads`` diffusers calls this number ``attention_head_dim``.
    """
    if stated := header.metadata.get("inkwash.heads"):
        if not re.fullmatch(r"\s*[1-9]\d{0,3}\s*(,\s*[1-9]\d{0,3}\s*){0,15}", stated, re.ASCII):
            raise damaged(header.path, f"its metadata inkwash.heads is {stated[:40]!r}, not numbers of heads")
        return tuple(int(number) for number in stated.split(","))
    config = _config(header, "unet/config.json")
    value = config.get("num_attention_heads") or config.get("attention_head_dim") or HEADS
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and number > 0 for number in numbers):
        raise damaged(header.path / "unet" / "config.json", f"its number of attention heads is {str(value)[:40]}")
    return tuple(numbers)


def scale_factor(header: Header) -> float:
    """U-Net latents = this * VAE latents: metadata ``inkwash.scale_factor``, the VAE's config.json, else 0.18215."""
    value: object = header.metadata.get("inkwash.scale_factor")
    for name in ("vae/config.json", "config.json"):
        value = _config(header, name).get("scaling_factor") if value is None else value
    if value is None:
        return SCALE_FACTOR
    if isinstance(value, (str, int, float)):
        try:
            factor = float(value)
        except (ValueError, OverflowError):
            factor = 0.0
        if 0 < factor < float("inf"):
            return factor
    raise damaged(header.path, f"its VAE's scale factor is {str(value)[:40]!r}, not a positive number")


def native_size(header: Header, latent_factor: int) -> int:
    """Pixels a side of the pictures the model was trained on; of a rectangle, the square with its area."""
    match = re.fullmatch(r"(\d{2,5})(?:x(\d{2,5}))?", header.metadata.get("modelspec.resolution", ""), re.ASCII)
    if match:
        width = int(match[1])
        height = int(match[2] or width)
        return max(8, isqrt(width * height) // 8 * 8)
    latents = _config(header, "unet/config.json").get("sample_size")
    if isinstance(latents, int) and 0 < latents * latent_factor < 100_000:
        return latents * latent_factor
    return NATIVE_SIZE


def _config(header: Header, name: str) -> dict[str, object]:
    """A JSON file of a folder; empty if ``header`` is of a single file or there is no such config."""
    path = header.path / name
    return read_json(path) if header.path.is_dir() and path.is_file() else {}
