"""Setting up: which torch, when to renew, what a failure says.  Nothing is downloaded here."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOTSTRAP = ROOT / "tools" / "bootstrap"
NAMES = ("words", "lock", "torch_build", "install", "environment")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
posix = pytest.mark.skipif(os.name == "nt", reason="the POSIX launcher")


class Bootstrap:
    """The bootstrap's modules, which are not part of a package."""

    words: ModuleType
    lock: ModuleType
    torch_build: ModuleType
    install: ModuleType
    environment: ModuleType


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bootstrap]:
    monkeypatch.syspath_prepend(str(BOOTSTRAP))
    modules = Bootstrap()
    for name in NAMES:
        setattr(modules, name, importlib.import_module(name))
    yield modules
    for name in NAMES:
        sys.modules.pop(name, None)


def test_what_declares_too_much_is_installed_by_itself(
    bootstrap: Bootstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """spandrel declares torchvision, which nothing here needs; it is part of the key all the same."""
    commands: list[list[str]] = []
    build = bootstrap.torch_build.TorchBuild("cpu", None, 1, "as a test")
    monkeypatch.setattr(bootstrap.install, "choose", lambda *asked: build)
    monkeypatch.setattr(bootstrap.install, "announce", lambda *told: None)
    monkeypatch.setattr(bootstrap.install, "_run", lambda *asked: None)
    monkeypatch.setattr(bootstrap.install, "_install", lambda command, *rest, **more: commands.append(command))
    bootstrap.install.install_all(ROOT, tmp_path, Path(sys.executable), None, {}, tmp_path / "log")
    named = [command for command in commands if any(part.startswith("spandrel") for part in command)]
    assert [("--no-deps" in command, "-c" in command) for command in named] == [(True, True)]
    assert not any("torchvision" in part for command in commands for part in command)
    before = bootstrap.lock.key(ROOT, None)
    monkeypatch.setattr(bootstrap.lock, "bare", lambda root: ["other"])
    assert bootstrap.lock.key(ROOT, None) != before


# --- which torch ---------------------------------------------------------------------------------------------------

NEW_CARD = "8.9, 580.65.06\n"
OLD_CARD = "6.1, 580.65.06\n"
OLD_DRIVER = "8.9, 550.54.14\n"


@pytest.mark.parametrize(
    ("environ", "system", "machine", "card", "would_take", "reached", "name", "index", "warns"),
    [
        # Linux without a card: pip already prefers a CPU build; the CPU index; neither
        ({}, "Linux", "x86_64", "", "torch-2.13.0+cpu-cp311.whl", False, "cpu", None, False),
        ({}, "Linux", "x86_64", "", "torch-2.13.0-cp311.whl", True, "cpu", CPU_INDEX, False),
        ({}, "Linux", "x86_64", "", "torch-2.13.0-cp311.whl", False, "default", None, True),
        ({"PIP_NO_INDEX": "1"}, "Linux", "x86_64", "", "", True, "default", None, True),
        ({}, "Linux", "aarch64", "", "", False, "cpu", None, False),
        ({}, "Windows", "AMD64", "", "", False, "cpu", None, False),
        ({}, "Darwin", "arm64", "", "", False, "default", None, False),
        # with a card
        ({}, "Linux", "x86_64", NEW_CARD, "torch-2.13.0-cp311.whl", True, "cuda", None, False),
        ({}, "Linux", "x86_64", OLD_CARD, "", True, "cuda", "https://download.pytorch.org/whl/cu126", False),
        ({}, "Linux", "x86_64", OLD_DRIVER, "", True, "cuda", "https://download.pytorch.org/whl/cu126", False),
        ({}, "Linux", "x86_64", NEW_CARD + OLD_CARD, "", True, "cuda", "https://download.pytorch.org/whl/cu126", False),
        ({}, "Linux", "x86_64", NEW_CARD, "torch-2.13.0+cpu-cp311.whl", False, "default", None, True),
        ({}, "Windows", "AMD64", NEW_CARD, "", True, "cuda", "https://download.pytorch.org/whl/cu130", False),
        # overrides
        ({"INKWASH_TORCH": "cpu"}, "Linux", "x86_64", NEW_CARD, "", True, "cpu", CPU_INDEX, False),
        ({"INKWASH_TORCH": "cuda"}, "Linux", "x86_64", "", "torch-2.13.0-cp311.whl", False, "cuda", None, False),
        ({"INKWASH_TORCH_INDEX": "https://m/cpu"}, "Linux", "x86_64", "", "", False, "default", "https://m/cpu", False),
    ],
)
def test_the_build_follows_the_machine(
    bootstrap: Bootstrap, environ: dict[str, str], system: str, machine: str, card: str, would_take: str, reached: bool,
    name: str, index: str | None, warns: bool,
) -> None:  # fmt: skip
    build = bootstrap.torch_build.choose(
        environ,
        system,
        machine,
        lambda: bootstrap.torch_build.parse_nvidia(card),
        lambda: would_take,
        lambda url: reached,
    )
    assert (build.name, build.index, bool(build.warning)) == (name, index, warns)


def test_an_unknown_override_is_refused(bootstrap: Bootstrap) -> None:
    with pytest.raises(bootstrap.words.SetupError, match="rocm"):
        bootstrap.torch_build.choose({"INKWASH_TORCH": "rocm"}, "Linux", "x86_64", None, str, bool)


# --- when to renew -------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "inkwash"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def finished(bootstrap: Bootstrap, root: Path, extra: str | None = None) -> object:
    """An environment that looks finished."""
    wanted = bootstrap.environment.Environment(root, root / ".inkwash", extra)
    wanted.python.parent.mkdir(parents=True)
    wanted.python.touch(mode=0o755)
    stamp = {
        "lock": bootstrap.lock.key(root, extra),
        "python": bootstrap.install.version_of_this_python(),
        "torch": "cpu",
        "index": None,
    }
    wanted.stamp.write_text(json.dumps(stamp))
    return wanted


def test_a_finished_environment_is_kept(bootstrap: Bootstrap, clone: Path) -> None:
    wanted = finished(bootstrap, clone)
    assert bootstrap.environment.stale(wanted, {}) is None
    assert bootstrap.environment.stale(wanted, {"INKWASH_TORCH": "cpu", "INKWASH_PYTHON": "python3"}) is None


def test_comments_and_our_own_version_do_not_renew_it(bootstrap: Bootstrap, clone: Path) -> None:
    wanted = finished(bootstrap, clone)
    with (clone / "constraints.txt").open("a") as file:
        file.write("# a remark\n")
    text = (clone / "pyproject.toml").read_text()
    (clone / "pyproject.toml").write_text(text.replace("line-length = 120", "line-length = 100"))
    assert bootstrap.environment.stale(wanted, {}) is None


def test_what_makes_it_stale(bootstrap: Bootstrap, clone: Path) -> None:
    stale = bootstrap.environment.stale
    wanted = bootstrap.environment.Environment(clone, clone / ".inkwash", None)
    assert stale(wanted, {}) == "first use"
    wanted = finished(bootstrap, clone)
    assert "INKWASH_TORCH=cuda" in stale(wanted, {"INKWASH_TORCH": "cuda"})
    assert "INDEX" in stale(wanted, {"INKWASH_TORCH_INDEX": "https://m"})
    wanted.python.unlink()
    assert "Python is gone" in stale(wanted, {})
    wanted.python.touch()
    pins = (clone / "constraints.txt").read_text()
    (clone / "constraints.txt").write_text(pins.replace("numpy==", "numpy==9."))
    assert "constraints.txt" in stale(wanted, {})
    wanted.stamp.unlink()
    assert "did not finish" in stale(wanted, {})


def test_an_interrupted_setting_up_leaves_no_stamp(
    bootstrap: Bootstrap, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def create(folder: Path, python: Path, log: Path) -> None:
        folder.mkdir()

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap.install, "create_environment", create)
    monkeypatch.setattr(bootstrap.install, "install_all", interrupt)
    wanted = bootstrap.environment.Environment(clone, clone / ".inkwash", None)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.environment.ensure(wanted, {})
    assert bootstrap.environment.stale(wanted, {}) == "the last setting-up did not finish"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(wanted.folder) in captured.err


def test_only_one_sets_up_at_a_time(bootstrap: Bootstrap, tmp_path: Path) -> None:
    waited, order = threading.Event(), []

    def second() -> None:
        with bootstrap.lock.alone(tmp_path / "lock", waited.set):
            order.append("second")

    with bootstrap.lock.alone(tmp_path / "lock", lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


# --- what a failure says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying ... NewConnectionError('...Temporary failure in name resolution')\n"
         "ERROR: Could not find a version that satisfies the requirement torch", "cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no such version"),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "certificates"),
        ("ERROR: [Errno 13] Permission denied: '/x'", "cannot be written"),
    ],
)  # fmt: skip
def test_installer_output_becomes_words(bootstrap: Bootstrap, output: str, why: str) -> None:
    error = bootstrap.words.diagnose("A package could not be installed.", output, Path("setup.log"))
    assert why in error.why
    assert "setup.log" in error.remedy


def test_an_unknown_failure_shows_its_last_line(bootstrap: Bootstrap) -> None:
    error = bootstrap.words.diagnose("It failed.", "line one\nsomething odd\n\n", Path("setup.log"))
    assert error.why == "something odd"


def test_a_python_without_ensurepip_names_the_package(
    bootstrap: Bootstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.install.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bootstrap.install.shutil, "which", lambda name: None)
    with pytest.raises(bootstrap.words.SetupError) as caught:
        bootstrap.install.create_environment(tmp_path / "env", tmp_path / "python", tmp_path / "log")
    assert f"python{sys.version_info.major}.{sys.version_info.minor}-venv" in caught.value.remedy


def test_too_little_disk_is_told_before_the_download(
    bootstrap: Bootstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = bootstrap.torch_build.TorchBuild("cpu", None, 200, "no card")
    monkeypatch.setattr(bootstrap.install.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 10**6))
    with pytest.raises(bootstrap.words.SetupError, match="free"):
        bootstrap.install.announce(build, tmp_path, None)


# --- the shell script ----------------------------------------------------------------------------------------------


def launch(clone: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(clone), **environ}
    command = [str(clone / "inkwash"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False, timeout=60)


@posix
def test_the_launcher_goes_straight_to_a_standing_environment(bootstrap: Bootstrap, clone: Path) -> None:
    wanted = finished(bootstrap, clone)
    wanted.python.write_text('#!/bin/sh\necho "ran: $*"\n')
    wanted.python.chmod(0o755)
    first = launch(clone, "txt2img", "a cute cat")
    assert first.stdout == "ran: -m inkwash txt2img a cute cat\n", first.stderr
    assert (wanted.folder / "quick-key").exists()
    shutil.rmtree(clone / "tools")  # the fast road needs nothing but the key and the environment
    assert launch(clone, "doctor").stdout == "ran: -m inkwash doctor\n"
    link = clone / "elsewhere"
    link.symlink_to(clone / "inkwash")
    again = subprocess.run(
        [str(link), "x"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=True
    )
    assert again.stdout == "ran: -m inkwash x\n"


@posix
def test_a_changed_lock_leaves_the_fast_road(bootstrap: Bootstrap, clone: Path) -> None:
    wanted = finished(bootstrap, clone)
    wanted.python.write_text("#!/bin/sh\necho ran\n")
    wanted.python.chmod(0o755)
    assert launch(clone).stdout == "ran\n"
    with (clone / "constraints.txt").open("a") as file:
        file.write("new-package==1\n")
    answer = launch(clone, INKWASH_INSTALLER="nonsense")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "constraints.txt has changed" in answer.stderr
    assert "INKWASH_INSTALLER=nonsense" in answer.stderr


@posix
def test_no_python_is_told_in_words(clone: Path) -> None:
    answer = launch(clone, INKWASH_PYTHON="/nowhere/python")
    assert answer.returncode == 1
    assert "INKWASH_PYTHON=/nowhere/python" in answer.stderr
    assert "what to do" in answer.stderr


def test_the_windows_launcher_has_windows_lines() -> None:
    lines = (ROOT / "inkwash.bat").read_bytes().split(b"\n")
    assert all(line.endswith(b"\r") for line in lines[:-1])
