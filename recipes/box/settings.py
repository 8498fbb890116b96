"""The recipe's settings, read from ``settings.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

Section = TypeVar("Section")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class WorldSettings:
    side: int
    subjects: int


@dataclass(frozen=True)
class PathSettings:
    state: Path
    model: Path


@dataclass(frozen=True)
class AutoencoderSettings:
    channels: tuple[int, ...]
    layers: int
    batch: int
    crops: int
    crop_pictures: int
    rate: float
    ema: float
    kl: float
    edge: float
    minutes: float


@dataclass(frozen=True)
class LatentSettings:
    shard: int
    shards: int
    close: float
    large_shards: int


@dataclass(frozen=True)
class TextSettings:
    width: int
    layers: int
    mlp_width: int
    batch: int
    rate: float
    minutes: float


@dataclass(frozen=True)
class UNetSettings:
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    layers: int
    batch: int
    rate: float
    text_rate: float
    ema: float
    hard: float
    min_snr: float
    lift: float
    large: float
    large_batch: int
    large_below: int
    blend: float
    minutes: float


@dataclass(frozen=True)
class JudgeSettings:
    batch: int
    rate: float
    minutes: float
    sampler: str
    steps: int
    cfg_scale: float


@dataclass(frozen=True)
class CounterSettings:
    batch: int
    rate: float
    minutes: float


@dataclass(frozen=True)
class Settings:
    workers: int
    world: WorldSettings
    paths: PathSettings
    autoencoder: AutoencoderSettings
    latents: LatentSettings
    text: TextSettings
    unet: UNetSettings
    judge: JudgeSettings
    counter: CounterSettings


def load_settings(path: Path) -> Settings:
    """Raises ``TypeError`` naming an unknown or missing key."""
    tables = tomllib.loads(path.read_text("utf-8"))
    paths = {name: Path(value).expanduser() for name, value in tables.pop("paths").items()}
    return Settings(
        int(tables["workers"]),
        _section(WorldSettings, tables["world"]),
        _section(PathSettings, paths),
        _section(AutoencoderSettings, tables["autoencoder"]),
        _section(LatentSettings, tables["latents"]),
        _section(TextSettings, tables["text"]),
        _section(UNetSettings, tables["unet"]),
        _section(JudgeSettings, tables["judge"]),
        _section(CounterSettings, tables["counter"]),
    )


def _section(kind: type[Section], table: Mapping[str, object]) -> Section:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if known != set(table):
        raise TypeError(f"{kind.__name__}: keys {sorted(known ^ set(table))} are unknown or missing in settings.toml")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in table.items()})
