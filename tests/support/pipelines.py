"""diffusers' own pipelines: made to walk the noise levels they are told, and to load single files without the hub."""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.support.checkpoints import reference_network
from torch import Tensor

from inkwash.checkpoint import FAMILIES, ModelSpec
from inkwash.prompt import tokenizer

PIPELINES = dict.fromkeys(("sd1", "sd2"), "StableDiffusionPipeline") | {"sdxl": "StableDiffusionXLPipeline"}


def on(kind: str, sigmas: Tensor, **options: Any) -> Any:
    """A diffusers scheduler that walks these sigmas, at the fractional timesteps they belong to."""
    import diffusers

    base = getattr(diffusers, kind)

    class Explicit(base):  # type: ignore[misc]
        def set_timesteps(self, count: int, device: Any = None, **_: Any) -> None:
            super().set_timesteps(count, device=device)
            log_sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt().log().numpy()
            times = np.interp(sigmas[:-1].log().numpy(), log_sigmas, np.arange(1000.0))
            self.timesteps = torch.from_numpy(times)
            self.sigmas = sigmas.clone()

    return Explicit(**{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"} | options)


def from_single_file(path: Path, spec: ModelSpec, configs: Path, **parts: Any) -> Any:
    """The family's pipeline of an LDM file, by diffusers' own conversion.

    configs: of ``write_configs``; without it diffusers would ask the hub.  parts: components given, None for those
    that stay away.
    """
    import diffusers

    if spec.family != "sdxl":
        parts = {"safety_checker": None, "feature_extractor": None, "image_encoder": None} | parts
    kind = getattr(diffusers, PIPELINES[spec.family])
    pipeline = kind.from_single_file(str(path), config=str(configs), local_files_only=True, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_configs(folder: Path, spec: ModelSpec) -> Path:
    """A diffusers folder without weights: what the hub would tell ``from_single_file`` of a model of this shape."""
    from diffusers import EulerDiscreteScheduler

    library: dict[str, Any] = {}
    for component in ("unet", "vae"):
        with torch.device("meta"):
            network = reference_network(spec, component)
        network.save_config(folder / component)
        library[component] = ["diffusers", type(network).__name__]
    places = FAMILIES[spec.family].texts
    for place, name in zip(places, ("tokenizer", "tokenizer_2"), strict=False):
        with torch.device("meta"):
            encoder = reference_network(spec, place.component)
        encoder.config.save_pretrained(folder / place.component)
        clip_tokenizer(pad="!" if place.openclip else "<|endoftext|>").save_pretrained(folder / name)
        library |= {place.component: ["transformers", type(encoder).__name__], name: ["transformers", "CLIPTokenizer"]}
    prediction = "v_prediction" if spec.prediction == "v" else "epsilon"
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, steps_offset=1
    )
    scheduler.save_pretrained(folder / "scheduler")
    library["scheduler"] = ["diffusers", "EulerDiscreteScheduler"]
    index = {"_class_name": PIPELINES[spec.family], "_diffusers_version": "0.30.0"} | library
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def clip_tokenizer(pad: str = "<|endoftext|>") -> Any:
    """transformers' own tokenizer, given CLIP's vocabulary by the rule that CLIP's source states: the bytes, the bytes
    at the end of a word, the merges, the two special tokens."""
    from transformers import CLIPTokenizer

    lines = gzip.decompress((files(tokenizer) / "merges.txt.gz").read_bytes()).decode().split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line]
    shown = [byte for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = [chr(byte) for byte in shown] + [chr(256 + i) for i in range(len(hidden))]
    endings = [f"{letter}</w>" for letter in letters]
    words = [*letters, *endings, *map("".join, merges), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: id for id, word in enumerate(words)}
    kind: Any = CLIPTokenizer
    return kind(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=77)
