"""Makes sure Inkwash's environment stands, then runs a Python command in it.  Standard library only.

    python tools/bootstrap run  -m inkwash ...     the environment people use:      .inkwash/env
    python tools/bootstrap test -m pytest ...      the same plus the test extra:    .inkwash/test-env

What the environment variables do is told in docs/en/install.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from environment import Environment, ensure
from words import SetupError, show

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ("run", "test"):
        print(__doc__, file=sys.stderr)
        return 2
    home = Path(os.environ.get("INKWASH_HOME") or ROOT / ".inkwash").absolute()
    wanted = Environment(root=ROOT, home=home, extra="test" if arguments[0] == "test" else None)
    try:
        python = ensure(wanted, os.environ)
    except SetupError as error:
        show(error)
        return 1
    except KeyboardInterrupt:
        print("\nSetting up was stopped; the next start takes it up again.", file=sys.stderr)
        return 130
    return run([str(python), *arguments[1:]])


def run(command: list[str]) -> int:
    """Become the command; Windows has no exec that keeps the console, so there it is a child."""
    if os.name != "nt":
        os.execv(command[0], command)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
