import os
import subprocess
import sys
from pathlib import Path

import pytest

from inkwash.core import settings


def environment(tmp_path: Path, text: str | None = None) -> dict[str, str]:
    if text is None:
        return {"XDG_CONFIG_HOME": str(tmp_path)}
    (tmp_path / "inkwash.toml").write_text(text, encoding="utf-8")
    return {"INKWASH_CONFIG": str(tmp_path / "inkwash.toml")}


def test_variables_go_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    environ = environment(tmp_path, 'models_dir = "/a"\noutputs_dir = "/b"\n[limits]\nsteps = 50\n')
    environ["INKWASH_OUTPUTS_DIR"] = "/c"
    found = settings.load(environ)
    assert found.models_dir == Path("/a")
    assert found.outputs_dir == Path("/c")
    assert found.limits.steps == 50
    assert found.limits.side == settings.Limits().side
    assert found.pattern == "[number]-[seed]"


def test_memory_for_models(tmp_path: Path) -> None:
    assert settings.load(environment(tmp_path)).memory == settings.Memory(2, 0.0)
    told = settings.load(environment(tmp_path, "[memory]\nmodels = 3\ngigabytes = 7\n"))
    assert told.memory == settings.Memory(3, 7)


def test_defaults_lie_in_the_clone(tmp_path: Path) -> None:
    root = Path(settings.__file__).resolve().parents[3]
    found = settings.load(environment(tmp_path))
    if (root / "pyproject.toml").is_file():
        assert found.outputs_dir == root / "outputs"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_dir = '/a'", "models_dir"),
        ("models_dir = 3", "models_dir"),
        ("[limits]\nstep = 3", "steps"),
        ("[limits]\nsteps = -3", "steps"),
        ("limits = 3", "limits"),
        ("[memory]\nmodel = 3", "models"),
        ("[memory]\nmodels = 0", "memory.models"),
        ("[memory]\ngigabytes = -1.5", "memory.gigabytes"),
        ("[memory]\ngigabytes = true", "memory.gigabytes"),
        ("models_dir = ", "TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(settings.BadSettings) as caught:
        settings.load(environment(tmp_path, text))
    assert words in str(caught.value)
    assert "inkwash.toml" in str(caught.value)


def test_a_missing_named_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(settings.BadSettings):
        settings.load({"INKWASH_CONFIG": str(tmp_path / "absent.toml")})


def test_importing_core_brings_in_nothing_heavy() -> None:
    code = (
        "import sys, inkwash, inkwash.core.settings, inkwash.core.infotext, inkwash.core.limits;"
        "print([name for name in ('torch', 'numpy', 'PIL', 'pydantic', 'rich') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_models_may_lie_in_several_folders(tmp_path: Path) -> None:
    environ = environment(tmp_path, 'models_dir = "/a"\nextra_models_dirs = ["/b", "~/c"]\n')
    assert settings.load(environ).roots() == [Path("/a"), Path("/b"), Path("~/c").expanduser()]
    assert settings.load(environ).roots("/x")[:2] == [Path("/x"), Path("/b")]
    environ["INKWASH_EXTRA_MODELS_DIRS"] = os.pathsep.join(["/d", "/e"])
    assert settings.load(environ).extra_models_dirs == (Path("/d"), Path("/e"))
    for wrong in ('"/b"', "[3]", '[""]'):
        with pytest.raises(settings.BadSettings, match="list of folders"):
            settings.load(environment(tmp_path, f"extra_models_dirs = {wrong}\n"))


def test_memory_policy_and_limit_come_from_the_file_and_variables_go_over_it(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    (tmp_path / "inkwash.toml").write_text('[memory]\npolicy = "swapped"\nlimit = 6\n')
    environ["INKWASH_CONFIG"] = str(tmp_path / "inkwash.toml")
    assert settings.load(environ).memory == settings.Memory(policy="swapped", limit=6)
    over = environ | {"INKWASH_MEMORY_POLICY": "sequential", "INKWASH_MEMORY_LIMIT": "3.5"}
    assert settings.load(over).memory == settings.Memory(policy="sequential", limit=3.5)
    for wrong in ({"INKWASH_MEMORY_POLICY": "small"}, {"INKWASH_MEMORY_LIMIT": "much"}, {"INKWASH_MEMORY_LIMIT": "-1"}):
        with pytest.raises(settings.BadSettings, match="memory"):
            settings.load(environ | wrong)
