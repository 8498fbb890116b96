"""Learned upscalers against spandrel's own forward pass; tiles against the whole; files read without running them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import upscalers

from inkwash.core.errors import DamagedFile, InkwashError, UnsupportedModel
from inkwash.core.resizing import Size
from inkwash.imaging.architectures import _normalize, network_of, spandrel
from inkwash.imaging.learned import Learned, _check, load, passes
from inkwash.imaging.tiles import Pixels, tiled, windows
from inkwash.runtime.device import Compute, choose

MADE = {"ESRGAN": upscalers.esrgan, "RealESRGAN Compact": upscalers.compact, "SwinIR": upscalers.swinir}
CPU = choose("cpu", "float32")


def picture(width: int, height: int) -> Image.Image:
    """Waves of every length, so that a seam would show."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (3 + c)) * np.cos(y / (5 - c)) * 100 + 128 for c in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_whole_picture_is_what_the_network_itself_makes(
    name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly, but for the rounding to 8 bits."""
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    network = MADE[name]()
    learned = load(upscalers.saved(network, tmp_path / f"some{suffix}"), CPU)
    small = picture(40, 24)
    large = learned(small, (40 * learned.scale, 24 * learned.scale))
    with torch.inference_mode():
        expected = network(as_tensor(small)).clamp(0, 1)
    assert learned.architecture == name
    assert (as_tensor(large) - expected).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("name", ["ESRGAN", "RealESRGAN Compact"])
def test_tiles_leave_no_seams(name: str) -> None:
    """Where the overlap is wider than what a pixel sees, tiles differ from the whole by rounding alone."""
    learned = Learned(name, network_of(MADE[name]().state_dict(), name), CPU)
    small, size = picture(150, 90), (150 * learned.scale, 90 * learned.scale)
    whole = np.asarray(learned(small, size)).astype(int)
    cut = np.asarray(Learned(name, learned.network, CPU, tile=64, overlap=32)(small, size)).astype(int)
    assert np.abs(whole - cut).max() <= 1
    assert np.abs(whole - cut).mean() < 0.05


@pytest.mark.parametrize(("size", "tile", "overlap"), [(300, 64, 16), (64, 64, 16), (65, 64, 16), (10, 64, 16)])
def test_the_weights_of_all_tiles_sum_to_one(size: int, tile: int, overlap: int) -> None:
    total = torch.zeros(size * 2)
    for window in windows(size, tile, overlap, scale=2):
        assert window.start >= 0
        assert window.start + window.length <= size
        total[window.start * 2 : (window.start + window.length) * 2] += window.weights
    torch.testing.assert_close(total, torch.ones(size * 2))


def test_tiles_put_together_are_the_picture() -> None:
    """A network that changes nothing gives the picture back, and progress ends at 1."""
    pixels = np.array(picture(130, 70))
    shares: list[float] = []
    work = tiled(pixels, 1, 32, 8, lambda cut: torch.from_numpy(cut.copy()).permute(2, 0, 1) / 255)
    assert np.array_equal(drained(work, shares), pixels)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def drained(work: Generator[float, None, Pixels], shares: list[float]) -> Pixels:
    """What the work returns; the shares it tells are noted."""

    def noting() -> Generator[float, None, None]:
        nonlocal made
        made = yield from work

    made = np.empty(0, np.uint8)
    shares += noting()
    return made


@pytest.mark.parametrize("size", [(30, 20), (31, 77), (100, 100), (400, 30), (10, 8)])
def test_any_size_comes_out_exactly(size: tuple[int, int]) -> None:
    learned = Learned("c", network_of(upscalers.compact().state_dict(), "c"), CPU)
    assert learned(picture(30, 20), size).size == size


@pytest.mark.parametrize(
    ("scale", "have", "want", "times"),
    [
        (2, (100, 50), (200, 100), 1), (2, (100, 50), (800, 400), 3), (4, (100, 50), (401, 200), 2),
        (3, (9, 9), (81, 81), 2), (4, (100, 50), (100, 50), 0), (4, (100, 50), (50, 20), 0),
        (4, (100, 50), (50, 60), 1), (1, (9, 9), (81, 81), 1),
    ],
)  # fmt: skip
def test_a_network_is_run_until_the_size_is_covered(scale: int, have: Size, want: Size, times: int) -> None:
    assert passes(scale, have, want) == times


def test_no_pass_makes_more_than_so_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkwash.imaging.learned.MAX_PIXELS", 4000)
    made = Learned("c", network_of(upscalers.compact(scale=4).state_dict(), "c"), CPU)
    seen: list[int] = []
    watched = replace(made, network=Watched(made.network, seen))
    assert watched(picture(40, 30), (50, 40)).size == (50, 40)
    assert seen == [max(seen)]
    assert 3500 < 16 * seen[0] <= 4000


class Watched:
    """A network that notes how many pixels it is given."""

    def __init__(self, network: Any, seen: list[int]) -> None:
        self.network = network
        self.seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def __call__(self, image: torch.Tensor) -> Any:
        self.seen.append(image.shape[2] * image.shape[3])
        return self.network(image)


def test_a_network_for_grey_takes_each_colour() -> None:
    """One in, one out, 4 times as large."""
    grey = upscalers.seeded(spandrel().architectures.Compact.Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=1))
    learned = Learned("grey", network_of(grey.state_dict(), "grey"), CPU)
    small = picture(16, 16)
    with torch.inference_mode():
        expected = grey(as_tensor(small)[0][:, None])[:, 0].clamp(0, 1)
    assert (as_tensor(learned(small, (64, 64)))[0] - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_bfloat16_differs_by_a_level_or_two() -> None:
    weights = upscalers.compact().state_dict()
    low = load_into(weights, Compute(torch.device("cpu"), torch.bfloat16))
    small = picture(32, 32)
    exact, rounded = (np.asarray(one(small, (64, 64))).astype(int) for one in (load_into(weights, CPU), low))
    assert np.abs(exact - rounded).max() <= 3


def load_into(weights: dict[str, torch.Tensor], compute: Compute) -> Learned:
    network = network_of(weights, "c")
    network.model.to(compute.dtype)
    return Learned("c", network, compute)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil-was-here",)


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INKWASH_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"params": Evil()}, protocol=2))
    with pytest.raises(DamagedFile, match="refused"):
        load(path, CPU)
    assert not (tmp_path / "evil-was-here").exists()


def test_what_is_no_upscaler_is_refused_in_words(tmp_path: Path) -> None:
    from inkwash.checkpoint.files import write

    write(tmp_path / "other.safetensors", {"something.weight": torch.zeros(3)})
    with pytest.raises(UnsupportedModel, match="no upscaler or face restorer of a known architecture"):
        load(tmp_path / "other.safetensors", CPU)
    state = upscalers.compact().state_dict()
    del state["body.2.weight"]
    write(tmp_path / "part.safetensors", state)
    with pytest.raises(DamagedFile, match=r"part\.safetensors looks like RealESRGAN Compact"):
        load(tmp_path / "part.safetensors", CPU)
    state = upscalers.compact().state_dict()
    state["body.0.weight"][0, 0, 0, 0] = torch.nan
    write(tmp_path / "nan.safetensors", state)
    with pytest.raises(DamagedFile, match="not finite"):
        load(tmp_path / "nan.safetensors", CPU)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(DamagedFile):
        load(tmp_path / "cut.safetensors", CPU)


@pytest.mark.parametrize(
    ("purpose", "channels", "words"),
    [("FaceSR", (3, 3), "single faces"), ("Inpainting", (3, 3), "masks"), ("SR", (4, 4), "4 channels to 4")],
)
def test_networks_for_other_things_say_what_they_are(purpose: str, channels: tuple[int, int], words: str) -> None:
    network = SimpleNamespace(
        purpose=purpose, architecture=SimpleNamespace(name="X"), input_channels=channels[0], output_channels=channels[1]
    )
    with pytest.raises(UnsupportedModel, match=words):
        _check(network, "some.pth")


def test_the_stand_in_normalizes_as_the_formula_says() -> None:
    image = torch.rand(1, 3, 4, 5)
    made = _normalize(image, [0.5, 0.4, 0.3], [0.5, 0.2, 0.1])
    for channel, (mean, std) in enumerate([(0.5, 0.5), (0.4, 0.2), (0.3, 0.1)]):
        torch.testing.assert_close(made[:, channel], (image[:, channel] - mean) / std)


def test_without_spandrel_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(InkwashError, match="pip install --no-deps spandrel"):
        spandrel.__wrapped__()


def test_torchvision_is_neither_needed_nor_left_replaced() -> None:
    code = (
        "import sys\n"
        "sys.modules['torchvision'] = None\n"
        "from inkwash.imaging.architectures import spandrel\n"
        "assert len(spandrel().MAIN_REGISTRY) > 30\n"
        "assert sys.modules['torchvision'] is None and 'torchvision.transforms' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
