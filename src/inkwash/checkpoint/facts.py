"""What shapes cannot tell about a model: from metadata, a sidecar .yaml or a folder's configs, else a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from inkwash.checkpoint.families import FAMILIES
from inkwash.checkpoint.folder import read_json
from inkwash.checkpoint.header import Header
from inkwash.checkpoint.regular import damaged, opened
from inkwash.checkpoint.spec import Family, LowResSpec, NoiseSpec, Prediction
from inkwash.core.errors import UnsupportedModel

MAX_YAML = 16_384  # bytes
MAX_NOTE = 200  # characters
BASE_SIZE = 512  # pixels; SD 2.x models that predict eps were made for these

_PREDICTIONS: dict[str, Prediction] = {
    **{"epsilon": "eps", "eps": "eps"},
    **{"v": "v", "v_prediction": "v", "v-prediction": "v", "velocity": "v"},
    **{"x0": "x0", "sample": "x0", "x": "x0"},
}
_ARCHITECTURES = {"stable-diffusion-v2-768-v": "v", "stable-diffusion-v2-512": "eps"}
_SCHEDULER = "scheduler/scheduler_config.json"
_FEW_STEPS = {"turbo": "Turbo", "lcm": "LCM", "lightning": "Lightning", "hyper": "Hyper-SD", "dmd2": "DMD2"}
_FEW_STEPS_WORD = re.compile(r"(?<![a-z])(?:(turbo|lcm|lightning|dmd2)(?![a-z])|(hyper)[-_ ]?sd)")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where TurboVision has a gap


class Predicted(NamedTuple):
    """What the U-Net predicts.  unsure: by default, where models of this shape come with another too."""

    value: Prediction
    notes: list[str]
    unsure: bool = False


def prediction(header: Header, override: Prediction | None, family: Family, in_channels: int) -> Predicted:
    """What the U-Net predicts, and notes on what had to be assumed or contradicts."""
    if override is not None:
        return Predicted(override, [])
    stated = _stated_predictions(header)
    known = [(where, _PREDICTIONS[value]) for where, value in stated if value in _PREDICTIONS]
    notes = [
        f"{where} states the prediction type {v!r}, which is unknown" for where, v in stated if v not in _PREDICTIONS
    ]
    if not known:
        assumed, reason = _default_prediction(family, in_channels)
        note = f"no prediction type is stated; {assumed} was assumed, {reason}"
        return Predicted(assumed, [*notes, note], family == "sd2" and in_channels == 4)
    where, value = known[0]
    notes += [
        f"{other} says {found} prediction, but {where} ({value}) counts" for other, found in known if found != value
    ]
    return Predicted(value, notes)


def _default_prediction(family: Family, in_channels: int) -> tuple[Prediction, str]:
    """The prediction type of most models of a family, and the reason in words."""
    if family == "sd1":
        return "eps", "as in nearly all SD 1.x models"
    if family == "x4":
        return "v", "as in Stability's x4 upscaler"
    if family != "sd2":
        return "eps", "as in nearly all SDXL models"
    if in_channels == 4:
        return "v", "as in the SD 2.x models for 768 pixels; those for 512 look the same and predict eps"
    return "eps", "as in SD 2's inpainting and depth models"


def _stated_predictions(header: Header) -> list[tuple[str, str]]:
    """(where, value) of every statement, the one that counts most first."""
    stated: list[tuple[str, object]] = [
        ("metadata modelspec.prediction_type", header.metadata.get("modelspec.prediction_type")),
        ("metadata modelspec.architecture", _ARCHITECTURES.get(header.metadata.get("modelspec.architecture", ""))),
    ]
    if "v_pred" in header.tensors:  # a marker that some trainers store as an empty tensor
        stated.append(("the tensor v_pred", "v"))
    stated.append(("the .yaml beside the file", _yaml_params(header.path).get("parameterization")))
    scheduler = _config(header, _SCHEDULER)
    stated.append(("scheduler_config.json", scheduler.get("prediction_type", "epsilon" if scheduler else None)))
    return [(where, str(value).strip().lower()) for where, value in stated if value is not None]


def noise(header: Header, family: Family) -> NoiseSpec:
    """The noise levels: from the marker ``ztsnr``, the .yaml or the scheduler's config; else the family's own.

    Raises UnsupportedModel for a schedule of another kind.
    """
    scheduler, params = _config(header, _SCHEDULER), _yaml_params(header.path)
    noise = _levels(header, scheduler, params, FAMILIES[family].noise)
    return replace(noise, zero_snr=True) if "ztsnr" in header.tensors else noise


def low_res(header: Header, noise_labels: int) -> LowResSpec | None:
    """What a model with so many noise labels is shown of the small picture; None of one without.

    From the folder's low_res_scheduler and model_index.json, or ``low_scale_config`` of the .yaml; else the x4's own.
    """
    if not noise_labels:
        return None
    params = _mapping(_mapping(_yaml_params(header.path), "low_scale_config"), "params")
    schedule = _mapping(params, "noise_schedule_config")
    index, default = _config(header, "model_index.json"), LowResSpec()
    highest = index.get("max_noise_level", params.get("max_noise_level", default.highest_level))
    if type(highest) is not int or not 0 <= highest < noise_labels:
        found = f"states {str(highest)[:20]} as its highest noise level and knows {noise_labels}"
        raise UnsupportedModel(f"{header.path} {found}.", "Correct model_index.json, or the .yaml.")
    config = _config(header, "low_res_scheduler/scheduler_config.json")
    return LowResSpec(_levels(header, config, schedule, default.noise), highest)


def _mapping(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _levels(
    header: Header, scheduler: Mapping[str, object], params: Mapping[str, object], default: NoiseSpec
) -> NoiseSpec:
    """scheduler: a config of diffusers; params: LDM's names."""
    kind = scheduler.get("beta_schedule", default.kind)
    start = scheduler.get("beta_start", params.get("linear_start", default.start))
    end = scheduler.get("beta_end", params.get("linear_end", default.end))
    steps = scheduler.get("num_train_timesteps", params.get("timesteps", default.steps))
    zero_snr = scheduler.get("rescale_betas_zero_snr", params.get("zero_snr")) is True
    sound = isinstance(start, float) and isinstance(end, float) and 0 < start < end < 1
    if kind not in ("scaled_linear", "linear") or not sound or type(steps) is not int or not 10 <= steps <= 100_000:
        found = ", ".join(str(value)[:20] for value in (kind, start, end, steps))
        raise UnsupportedModel(
            f"{header.path} was trained on noise that is not known here: {found}.",
            "Known are the schedules scaled_linear and linear, with 0 < start < end < 1.",
        )
    return NoiseSpec("linear" if kind == "linear" else "scaled_linear", float(start), float(end), steps, zero_snr)  # type: ignore[arg-type]


def _yaml_params(path: Path) -> dict[str, object]:
    """``model.params`` of MODEL.yaml beside MODEL.safetensors; empty if there is none."""
    sidecar = path.with_suffix(".yaml")
    if path.is_dir() or not sidecar.is_file():
        return {}
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
    for key in ("model", "params"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def few_steps(header: Header) -> str:
    """The kind of distillation, such as "Turbo" or "LCM", that metadata, configs or the name tell of; else ""."""
    if _config(header, "unet/config.json").get("time_cond_proj_dim"):
        return "LCM"
    name = header.path.name if header.path.is_dir() else header.path.stem
    texts = [header.metadata.get(f"modelspec.{key}", "")[:MAX_NOTE] for key in ("title", "architecture")]
    match = _FEW_STEPS_WORD.search(_CAPITAL.sub(" ", " ".join([name, *texts])).lower())
    return _FEW_STEPS[match[1] or match[2]] if match else ""


def zero_empty(header: Header, family: Family) -> bool:
    """Is an empty negative prompt a text of zeros?  model_index.json says so; else XL's are, as in A1111."""
    stated = _config(header, "model_index.json").get("force_zeros_for_empty_prompt")
    return stated if isinstance(stated, bool) else family in ("sdxl", "sdxl-refiner")


def activation(header: Header, component: str, openclip: bool) -> str:
    """The text encoder's, from its config.json, else OpenAI's or OpenCLIP's.  Raises UnsupportedModel if unknown."""
    value = _config(header, f"{component}/config.json").get("hidden_act", "gelu" if openclip else "quick_gelu")
    if value not in ("gelu", "quick_gelu"):
        message = f"{header.path / component} has a text encoder with the activation {str(value)[:40]!r}."
        raise UnsupportedModel(message, "Known are quick_gelu and gelu.")
    return str(value)


def text_layers(header: Header) -> int | None:
    """How many layers of an SD2 text encoder are used, where metadata ``inkwash.text_layers`` says so."""
    stated = header.metadata.get("inkwash.text_layers")
    if stated is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,2}", stated, re.ASCII):
        raise damaged(header.path, f"its metadata inkwash.text_layers is {stated[:40]!r}, not a number of layers")
    return int(stated)


def own_note(header: Header) -> str:
    """What the maker of a file wants told to whoever draws with it: metadata ``inkwash.note``."""
    return header.metadata.get("inkwash.note", "")[:MAX_NOTE]


def heads(header: Header, family: Family) -> tuple[int, ...]:
    """Attention heads of each U-Net level, one number for all, or none where the family's follow from the widths.

    From metadata ``inkwash.heads`` ("8" or "4,8,8,8"), a folder's unet/config.json, else the family's.  In configs
    without ``num_attention_heads`` diffusers calls this number ``attention_head_dim``.
    """
    if stated := header.metadata.get("inkwash.heads"):
        if not re.fullmatch(r"\s*[1-9]\d{0,3}\s*(,\s*[1-9]\d{0,3}\s*){0,15}", stated, re.ASCII):
            raise damaged(header.path, f"its metadata inkwash.heads is {stated[:40]!r}, not numbers of heads")
        return tuple(int(number) for number in stated.split(","))
    config = _config(header, "unet/config.json")
    value = config.get("num_attention_heads") or config.get("attention_head_dim") or FAMILIES[family].heads
    if value is None:
        return ()
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and number > 0 for number in numbers):
        raise damaged(header.path / "unet" / "config.json", f"its number of attention heads is {str(value)[:40]}")
    return tuple(numbers)


def scale_factor(header: Header, family: Family) -> float:
    """U-Net latents = this * VAE latents: metadata ``inkwash.scale_factor``, the VAE's config.json, or the family's."""
    value: object = header.metadata.get("inkwash.scale_factor")
    for name in ("vae/config.json", "config.json"):
        value = _config(header, name).get("scaling_factor") if value is None else value
    if value is None:
        return FAMILIES[family].scale_factor
    if isinstance(value, (str, int, float)):
        try:
            factor = float(value)
        except (ValueError, OverflowError):
            factor = 0.0
        if 0 < factor < float("inf"):
            return factor
    raise damaged(header.path, f"its VAE's scale factor is {str(value)[:40]!r}, not a positive number")


def native_size(header: Header, latent_factor: int, family: Family, predicted: Prediction) -> int:
    """Pixels a side of the pictures the model was trained on; of a rectangle, the square with its area."""
    match = re.fullmatch(r"(\d{2,5})(?:x(\d{2,5}))?", header.metadata.get("modelspec.resolution", ""), re.ASCII)
    if match:
        width = int(match[1])
        height = int(match[2] or width)
        return max(8, isqrt(width * height) // 8 * 8)
    latents = _config(header, "unet/config.json").get("sample_size")
    if isinstance(latents, int) and 0 < latents * latent_factor < 100_000:
        return latents * latent_factor
    return usual_size(family, predicted)


def usual_size(family: Family, predicted: Prediction) -> int:
    """Pixels a side, where nothing states them."""
    return BASE_SIZE if family == "sd2" and predicted == "eps" else FAMILIES[family].native_size


def _config(header: Header, name: str) -> dict[str, object]:
    """A JSON file of a folder; empty if ``header`` is of a single file or there is no such config."""
    path = header.path / name
    return read_json(path) if header.path.is_dir() and path.is_file() else {}
