"""The recipe's settings, read from ``settings.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PathSettings:
    state: Path
    model: Path


@dataclass(frozen=True)
class PairSettings:
    side: int
    count: int
    held_out: int
    subjects: int
    decoded: float


@dataclass(frozen=True)
class NetworkSettings:
    features: int
    convolutions: int


@dataclass(frozen=True)
class TrainingSettings:
    crop: int
    batch: int
    rate: float
    ema: float
    edge: float
    minutes: float


@dataclass(frozen=True)
class Settings:
    paths: PathSettings
    pairs: PairSettings
    network: NetworkSettings
    training: TrainingSettings


def load_settings(path: Path) -> Settings:
    """Raises ``TypeError`` naming an unknown or missing key."""
    tables = tomllib.loads(path.read_text("utf-8"))
    return Settings(
        PathSettings(**{name: Path(value).expanduser() for name, value in tables["paths"].items()}),
        PairSettings(**tables["pairs"]),
        NetworkSettings(**tables["network"]),
        TrainingSettings(**tables["training"]),
    )
