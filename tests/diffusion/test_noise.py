"""A picture's own noise: seeds, variations, seed-resize, order of draws."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from inkwash.core.errors import InvalidRequest
from inkwash.diffusion import PictureNoise
from inkwash.diffusion.philox import Philox

SHAPE = (4, 16, 12)
SIGMA = torch.tensor(1.0)


def torch_draws(seed, count, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def test_cpu_noise_is_one_generator_a_picture():
    noise = PictureNoise(SHAPE, 1234)
    expected = torch_draws(1234, 3)
    drawn = [noise.initial(), noise.ancestral(SIGMA, SIGMA), noise.ancestral(SIGMA, SIGMA)]
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
    assert torch.equal(noise.initial(), expected[0])
    # The numbers of seed 1234 on the CPU, as any program that uses PyTorch draws them.
    torch.manual_seed(1234)
    assert torch.equal(drawn[0], torch.randn(SHAPE))


def test_nv_noise_is_philox():
    noise = PictureNoise(SHAPE, 9, source="NV")
    philox = Philox(9)
    assert torch.equal(noise.initial(), philox.normal(SHAPE))
    assert torch.equal(noise.ancestral(SIGMA, SIGMA), philox.normal(SHAPE))


def test_gpu_source_on_a_cpu_is_the_cpus():
    assert torch.equal(PictureNoise(SHAPE, 3, source="GPU").initial(), PictureNoise(SHAPE, 3).initial())


def test_unknown_source():
    with pytest.raises(InvalidRequest, match="noise source"):
        PictureNoise(SHAPE, 3, source="TPU")


def test_ensd_moves_later_draws_only():
    noise = PictureNoise(SHAPE, 5, ensd=31337)
    assert torch.equal(noise.initial(), torch_draws(5, 1)[0])
    assert torch.equal(noise.ancestral(SIGMA, SIGMA), torch_draws(5 + 31337, 1)[0])


def test_variation_is_a_great_arc():
    """Every column (along h, as in A1111) of the mix lies on the arc between both noises, at the asked share of it."""
    first, second = torch_draws(1, 1)[0], torch_draws(2, 1)[0]
    mixed = PictureNoise(SHAPE, 1, subseed=2, subseed_strength=0.3).initial()
    for c, w in [(0, 0), (2, 7), (3, 11)]:
        a, b = first[c, :, w].double(), second[c, :, w].double()
        omega = torch.arccos(a @ b / (a.norm() * b.norm()))
        expected = (torch.sin(0.7 * omega) * a + torch.sin(0.3 * omega) * b) / torch.sin(omega)
        torch.testing.assert_close(mixed[c, :, w].double(), expected, rtol=1e-4, atol=1e-5)


def test_variation_touches_the_first_noise_only():
    noise = PictureNoise(SHAPE, 1, subseed=2, subseed_strength=0.3)
    assert torch.equal(noise.ancestral(SIGMA, SIGMA), torch_draws(1, 2)[1])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_variation_ends(strength):
    noise = PictureNoise(SHAPE, 1, subseed=2, subseed_strength=strength).initial()
    expected = {0.0: torch_draws(1, 1)[0], 1.0: torch_draws(2, 1)[0]}.get(strength)
    if expected is not None:
        torch.testing.assert_close(noise, expected, rtol=1e-5, atol=1e-5)
    same = PictureNoise(SHAPE, 1, subseed=1, subseed_strength=strength).initial()
    torch.testing.assert_close(same, torch_draws(1, 1)[0], rtol=1e-6, atol=1e-6)


def test_variation_of_the_flattest_picture_is_finite():
    """One row: all columns are parallel or opposed, where an arc is undefined."""
    assert torch.isfinite(PictureNoise((4, 1, 9), 1, subseed=2, subseed_strength=0.5).initial()).all()


@pytest.mark.parametrize(
    ("old", "inside", "taken"),
    [
        ((8, 8), (slice(4, 12), slice(2, 10)), (slice(0, 8), slice(0, 8))),  # smaller: centred
        ((20, 20), (slice(0, 16), slice(0, 12)), (slice(2, 18), slice(4, 16))),  # larger: its middle
        ((19, 8), (slice(0, 15), slice(2, 10)), (slice(2, 17), slice(0, 8))),  # odd difference: rounded down
    ],
)
def test_seed_resize(old, inside, taken):
    noise = PictureNoise(SHAPE, 7, seed_resize=old)
    small = torch_draws(7, 1, (4, *old))[0]
    frame, later = torch_draws(7, 2)
    expected = frame.clone()
    expected[:, inside[0], inside[1]] = small[:, taken[0], taken[1]]
    assert torch.equal(noise.initial(), expected)
    assert torch.equal(noise.ancestral(SIGMA, SIGMA), later)


def test_same_size_resize_is_plain_noise():
    assert torch.equal(PictureNoise(SHAPE, 7, seed_resize=SHAPE[1:]).initial(), torch_draws(7, 1)[0])


def test_another_process_draws_the_same():
    code = (
        "import sys\nimport torch\n"
        "from inkwash.diffusion import PictureNoise\n"
        "assert not {'scipy', 'torchsde', 'diffusers'} & set(sys.modules)  # slow to import\n"
        "n = PictureNoise((4, 3, 3), 11, source='NV', subseed=4, subseed_strength=0.2)\n"
        "b = n.brownian(0.1, 10.0)(torch.tensor(5.0), torch.tensor(1.0))\n"
        "print((n.initial() + n.ancestral(b, b) + b).numpy().tobytes().hex())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    noise = PictureNoise((4, 3, 3), 11, source="NV", subseed=4, subseed_strength=0.2)
    path = noise.brownian(0.1, 10.0)(torch.tensor(5.0), torch.tensor(1.0))
    assert there == (noise.initial() + noise.ancestral(path, path) + path).numpy().tobytes().hex()
