"""Write a diffusers folder of random weights: the argument, and "tiny" or "full".

A program of its own, because a process hands its own peak memory on to those it starts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.checkpoints import full_spec, sd1_spec, write_diffusers

if __name__ == "__main__":
    folder, size = sys.argv[1:]
    write_diffusers(Path(folder), sd1_spec() if size == "tiny" else full_spec())
