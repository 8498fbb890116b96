"""What a drawing may not need: torchvision (it has no CPU build) and imports that cost a beginner seconds."""

from __future__ import annotations

import subprocess
import sys

ABSENT = ("torchvision", "diffusers", "transformers", "torch._dynamo", "scipy", "sympy")

DRAW = f"""
import sys
sys.modules["torchvision"] = None  # any import of it now fails
import inkwash
request = inkwash.GenerateRequest(prompt="a cute cat", steps=2, width=64, height=64, sampler="Euler a")
result = inkwash.Engine(device="cpu").generate(request)
assert result.images[0].size == (64, 64)
loaded = [name for name in {ABSENT!r} if sys.modules.get(name) is not None]
assert not loaded, loaded
"""


def test_the_default_model_draws_without_torchvision_and_heavy_imports() -> None:
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
