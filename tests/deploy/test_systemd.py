"""deploy/inkwash.service is what systemd understands, and starts what the command line knows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from inkwash.cli import main

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "inkwash.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """With the programme where this clone is; a misspelt key would be told."""
    text = UNIT.read_text(encoding="utf-8")
    for name, changed, sound in (("good", text, True), ("bad", text.replace("KillMode", "KilMode"), False)):
        path = tmp_path / name / "inkwash.service"
        path.parent.mkdir()
        path.write_text(changed.replace("/opt/inkwash", str(ROOT)), encoding="utf-8")
        run = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        told = [line for line in run.stderr.splitlines() if "inkwash.service" in line]
        assert (told == []) is sound, run.stderr


def test_its_command_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    [command] = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    program, name, *flags = command.split()
    assert Path(program).name == "inkwash"
    assert (ROOT / "inkwash").stat().st_mode & 0o111
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in flags)
