"""``inkwash doctor``: what is here, what is missing, what to do."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from inkwash import __version__
from inkwash.cli.terminal import harmless
from inkwash.core import files, settings
from inkwash.core.errors import InkwashError

State = Literal["ok", "warn", "missing"]
MEMORY_GB = 4.0  # a half-precision SD 1.x model and a 512x512 picture
DISK_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One line of the report.  remedy: what to do, "" when all is well."""

    name: str
    state: State
    text: str
    remedy: str = ""


def doctor(
    models_dir: Annotated[Path | None, typer.Option(help="The folder that holds models/ and embeddings/.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what is here, what is missing and what to do.  Exit status 1 if something needed is missing."""
    here = settings.load()
    findings = list(examine(here, models_dir or here.models_dir))
    missing = any(finding.state == "missing" for finding in findings)
    if as_json:
        report = {"version": __version__, "ok": not missing, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(f"inkwash {__version__}")
        for finding in findings:
            print(f"{finding.state:>8}  {finding.name:12} {harmless(finding.text)}")
            if finding.remedy:
                print(f"{'':8}  {'':12} what to do: {harmless(finding.remedy)}")
    raise typer.Exit(1 if missing else 0)


def examine(here: settings.Settings, models_dir: Path) -> Iterator[Finding]:
    """Every finding; a check that itself fails becomes one too."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("python", python),
        ("system", system),
        ("memory", memory),
        ("disk", lambda: disk(here.outputs_dir)),
        ("packages", packages),
        ("torch", torch_build),
        ("device", device),
        ("upscalers", upscalers),
        ("faces", faces),
        ("settings", lambda: settings_file(here)),
        ("models", lambda: models(models_dir)),
        ("outputs", lambda: outputs(here.outputs_dir)),
    )
    for name, check in checks:
        try:
            yield check()
        except InkwashError as error:
            yield Finding(name, "missing", error.message, error.remedy)
        except Exception as error:
            yield Finding(name, "warn", f"could not be examined: {type(error).__name__}: {error}")


def python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "ok", text)
    return Finding("python", "warn", text, "use Python 3.11, 3.12 or 3.13; others are not tested")


def system() -> Finding:
    text = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors"
    return Finding("system", "ok", text)


def memory() -> Finding:
    import psutil

    now = psutil.virtual_memory()
    text = f"{now.available / 1e9:.1f} GB free of {now.total / 1e9:.1f} GB"
    if now.available / 1e9 >= MEMORY_GB:
        return Finding("memory", "ok", text)
    return Finding("memory", "warn", text, f"close other programs; an SD 1.x picture wants about {MEMORY_GB:.0f} GB")


def disk(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    text = f"{free:.1f} GB free at {existing}"
    if free >= DISK_GB:
        return Finding("disk", "ok", text)
    return Finding("disk", "warn", text, "free some space, or draw elsewhere: INKWASH_OUTPUTS_DIR=/other/disk")


def packages() -> Finding:
    """Everything the program imports, imported once."""
    absent = []
    for name in ("numpy", "PIL", "psutil", "tokenizers", "yaml", "scipy", "rich", "fastapi", "uvicorn"):
        try:
            importlib.import_module(name)
        except ImportError:
            absent.append(name)
    if not absent:
        return Finding("packages", "ok", "all present")
    remedy = "in a clone: delete .inkwash and start ./inkwash again; else: pip install --force-reinstall inkwash"
    return Finding("packages", "missing", f"cannot be imported: {', '.join(absent)}", remedy)


def torch_build() -> Finding:
    try:
        import torch
    except ImportError as error:
        remedy = "in a clone: delete .inkwash and start ./inkwash again; else: pip install torch==2.13.0"
        return Finding("torch", "missing", str(error), remedy)
    text = f"{torch.__version__}, {torch.get_num_threads()} threads"
    card_without_use = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if card_without_use and not torch.cuda.is_available():
        return Finding("torch", "warn", f"{text}; an NVIDIA card is here, but this torch cannot use it",
                       "INKWASH_TORCH=cuda ./inkwash doctor installs the build that can")  # fmt: skip
    return Finding("torch", "ok", text)


def device() -> Finding:
    """Where pictures are drawn, and in which number format they can be."""
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("device", "ok", f"cuda: {', '.join(cards)}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "mps: Apple GPU")
    features = ", ".join(cpu_features()) or "no wide vector instructions"
    return Finding("device", "ok", f"cpu: {features}")


def cpu_features() -> list[str]:
    """What the processor has of the instructions that matter here; amx_bf16 and avx512_bf16 make bfloat16 fast."""
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        import torch

        return [torch.backends.cpu.get_cpu_capability()]
    return [name for name in wanted if name in words]


def upscalers() -> Finding:
    """Whether learned upscalers can run: their library is not installed by pip itself (docs/decisions/0013)."""
    from inkwash.imaging.architectures import spandrel

    try:
        return Finding("upscalers", "ok", f"spandrel {spandrel().__version__}")
    except InkwashError as error:
        return Finding("upscalers", "warn", error.message, error.remedy)


def faces() -> Finding:
    """Whether faces can be found: the package with the weights is not installed by pip itself (docs/decisions/0014)."""
    from inkwash.models.mtcnn_files import weights_folder

    try:
        return Finding("faces", "ok", f"found by MTCNN, weights in {weights_folder()}")
    except InkwashError as error:
        return Finding("faces", "warn", error.message, error.remedy)


def settings_file(here: settings.Settings) -> Finding:
    return Finding("settings", "ok", str(here.file) if here.file else "built-in; an inkwash.toml would be read")


def models(models_dir: Path) -> Finding:
    from inkwash.checkpoint.catalog import BOX, Catalog

    found = Catalog([models_dir]).entries("model")
    own = [entry for entry in found if not entry.path.is_relative_to(BOX)]
    folder = models_dir / "models" / "Stable-diffusion"
    remedy = f"inkwash models pull --list; or put checkpoints into {folder}, or use --models-dir PATH"
    if own:
        names = ", ".join(entry.name for entry in own[:5]) + (", ..." if len(own) > 5 else "")
        return Finding("models", "ok", f"{len(own)} in {models_dir}: {names}")
    if found:
        return Finding("models", "warn", f"only the model in the box; none in {models_dir}", remedy)
    return Finding("models", "missing", f"none in {models_dir}", remedy)


def outputs(folder: Path) -> Finding:
    """Whether pictures can be saved.  Raises CannotWrite."""
    existed = folder.exists()
    files.check_folder(folder)
    if not existed:
        folder.rmdir()
    return Finding("outputs", "ok", f"{folder} can be written")
