"""The floors of the house: imports go down only, and heavy or foreign libraries stay where they belong."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "inkwash"
FLOORS = {
    "core": 0,
    "prompt": 1, "diffusion": 1, "runtime": 1,
    "checkpoint": 2,
    "models": 3,
    "adapters": 4, "imaging": 4,
    "generation": 5,
    "jobs": 7,
    "server": 9, "web": 9,
    "cli": 10,
}  # fmt: skip
ROOF = 11  # the package's own __init__ and __main__
NEVER = {"torchvision", "diffusers"}  # independent references for tests, as transformers is; see docs/decisions
# Libraries of extras: where one may be imported, inside a function, when a person asks for what it alone can do.
EXTRAS = {"transformers": "imaging/transformers_depth.py", "onnxruntime": "imaging/background.py"}
NO_TORCH = {"core", "prompt"}
# Import name -> name in pyproject.toml, where they differ.
DISTRIBUTIONS = {
    "PIL": "pillow", "huggingface_hub": "huggingface-hub", "yaml": "PyYAML", "psd_tools": "psd-tools",
}  # fmt: skip
# What uvicorn, Starlette and spandrel import by themselves; and a package of which only the weights are read.
UNSEEN = {"httptools", "uvloop", "python-multipart"} | {"einops", "safetensors"} | {"facenet-pytorch"}


@dataclass(frozen=True)
class Import:
    """One import statement: "inkwash.core.files" or "torch", and whether it runs when the module is imported."""

    path: Path
    line: int
    module: str
    only_types: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_lines |= {inner.lineno for inner in ast.walk(node) if hasattr(inner, "lineno")}
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(path, node.lineno, name.name, node.lineno in typing_lines)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide which floor is meant"
            assert node.module is not None
            for name in node.names:
                whole = f"{node.module}.{name.name}" if node.module.startswith("inkwash") else node.module
                yield Import(path, node.lineno, whole, node.lineno in typing_lines)


ALL = [found for path in sorted(PACKAGE.rglob("*.py")) for found in imports(path)]


def folder_of(path: Path) -> str | None:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def test_every_folder_has_a_floor() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(FLOORS)


def test_imports_go_down_only() -> None:
    wrong = []
    for found in ALL:
        parts = found.module.split(".")
        if parts[0] != "inkwash" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        here = folder_of(found.path)
        floor = ROOF if here is None else FLOORS[here]
        if parts[1] != here and FLOORS[parts[1]] >= floor:
            wrong.append(str(found))
    assert wrong == []


def test_core_and_prompt_have_no_torch() -> None:
    wrong = [
        str(found)
        for found in ALL
        if folder_of(found.path) in NO_TORCH and not found.only_types and found.module.split(".")[0] == "torch"
    ]
    assert wrong == []


def test_the_references_are_never_imported() -> None:
    assert [str(found) for found in ALL if found.module.split(".")[0] in NEVER] == []


def test_extras_are_imported_where_they_are_allowed_only() -> None:
    """That none is imported with the package is shown by ``test_the_program_runs_without``."""
    found = {(one.module.split(".")[0], one.path.relative_to(PACKAGE).as_posix()) for one in ALL}
    assert {(name, path) for name, path in found if name in EXTRAS} == set(EXTRAS.items())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    declared = {bare(requirement) for name, wanted in extras.items() if name != "test" for requirement in wanted}
    assert {DISTRIBUTIONS.get(name, name) for name in EXTRAS} == declared


def bare(requirement: str) -> str:
    """The name in a requirement."""
    return requirement.split(">")[0].split("=")[0].strip()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = settings["project"]["dependencies"] + settings["tool"]["inkwash"]["bare-dependencies"]
    declared = {bare(requirement) for requirement in requirements}
    names = {found.module.split(".")[0] for found in ALL} - set(sys.stdlib_module_names) - {"inkwash"} - set(EXTRAS)
    assert {DISTRIBUTIONS.get(name, name) for name in names} | UNSEEN == declared


def test_every_declared_distribution_is_pinned() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    named = project["dependencies"] + [one for extra in project["optional-dependencies"].values() for one in extra]
    named += settings["tool"]["inkwash"]["bare-dependencies"]
    assert {bare(name).lower() for name in named} <= pinned


@pytest.mark.parametrize("blocked", [("torchvision",), ("diffusers", *EXTRAS)])
def test_the_program_runs_without(blocked: tuple[str, ...]) -> None:
    """Every module is imported while the named packages cannot be."""
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__main__.py"
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_importing_inkwash_is_light_and_its_names_are_all_there() -> None:
    code = (
        "import sys, inkwash\n"
        "assert 'torch' not in sys.modules\n"
        "inkwash.core.infotext.parse('')\n"
        "inkwash.prompt, inkwash.GenerateRequest, inkwash.InkwashError, inkwash.Result\n"
        "assert 'torch' not in sys.modules\n"
        "assert inkwash.diffusion.SAMPLERS and inkwash.diffusion.SCHEDULES\n"
        "assert inkwash.checkpoint.detect and inkwash.checkpoint.read and inkwash.Engine\n"
        "assert set(inkwash.__all__) <= set(dir(inkwash))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
