"""Grids of tiles and their weights."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inkwash.core.boxes import Box, grid
from inkwash.diffusion.tiles import feather, gaussian, ramps, shares

GRIDS = st.tuples(
    st.tuples(st.integers(1, 30), st.integers(1, 30)), st.tuples(st.integers(1, 12), st.integers(1, 12))
).flatmap(lambda sizes: st.tuples(st.just(sizes[0]), st.just(sizes[1]), st.integers(0, min(sizes[1]))))


def faded(boxes: list[Box]) -> list[Tensor]:
    """The shares of ``ramps``, written out."""
    return [ramp.over(torch.ones(1, box.height, box.width))[0] for ramp, box in zip(ramps(boxes), boxes, strict=True)]


@settings(max_examples=50)
@given(GRIDS)
def test_tiles_cover_the_picture_and_share_what_they_should(
    given_: tuple[tuple[int, int], tuple[int, int], int],
) -> None:
    size, tile, overlap = given_
    boxes = grid(size, tile, overlap)
    covered = np.zeros(size, dtype=int)
    for box in boxes:
        assert (box.height, box.width) == (min(tile[0], size[0]), min(tile[1], size[1]))
        covered[box.place] += 1
    assert covered.min() >= 1
    lefts = sorted({box.left for box in boxes})
    shared = [a + boxes[0].width - b for a, b in pairwise(lefts)]
    assert all(one >= min(overlap, boxes[0].width - 1) for one in shared)
    step = max(boxes[0].width - min(overlap, boxes[0].width - 1), 1)
    assert len(lefts) == 1 + math.ceil((size[1] - boxes[0].width) / step)  # not one more than needed


@settings(max_examples=50)
@given(GRIDS)
def test_shares_add_up_to_one(given_: tuple[tuple[int, int], tuple[int, int], int]) -> None:
    size, tile, overlap = given_
    boxes = grid(size, tile, overlap)
    one = gaussian(boxes[0].height, boxes[0].width)
    for all_shares in (faded(boxes), shares(boxes, [one] * len(boxes), size)):
        total = torch.zeros(size)
        for box, share in zip(boxes, all_shares, strict=True):
            assert (share >= 0).all()
            total[box.place] += share
        assert torch.allclose(total, torch.ones(size), atol=1e-5)


def test_ramps_fade_linearly_over_what_is_shared_but_its_ends() -> None:
    """Two tiles of 16 on 24 places share 8: the first and the last belong to one tile, the fade takes the other six."""
    boxes = grid((1, 24), (1, 16), 8)
    first, second = (share[0] for share in faded(boxes))
    assert torch.allclose(second[:8], torch.tensor([0.0, *((torch.arange(6) + 0.5) / 6).tolist(), 1.0]), atol=1e-6)
    assert torch.allclose(first[8:], 1 - second[:8], atol=1e-6)
    assert (first[:8] == 1).all()
    assert (second[8:] == 1).all()


@pytest.mark.parametrize("overlap", [64, 128, 300])
def test_what_lies_beside_a_cut_does_not_count(overlap: int) -> None:
    """An eighth of what SD upscale's tiles share, at the least: 8 pixels at A1111's 64 of 512."""
    boxes = grid((512, 1024), (512, 512), overlap)
    for box, share in zip(boxes, faded(boxes), strict=True):
        assert box.left == 0 or (share[:, : overlap // 8] == 0).all()
        assert box.right == 1024 or (share[:, -(overlap // 8) :] == 0).all()


@pytest.mark.parametrize(("height", "width"), [(7, 12), (8, 8)])
def test_the_gaussian_is_the_papers(height: int, width: int) -> None:
    """arXiv:2302.02412's code: exp(-(x - mid)^2 / width^2 / (2 * 0.01)), by scipy."""
    from scipy.stats import norm

    y = norm.pdf(np.arange(height), (height - 1) / 2, 0.1 * height)
    x = norm.pdf(np.arange(width), (width - 1) / 2, 0.1 * width)
    expected = np.outer(y, x)
    ours = gaussian(height, width).numpy()
    assert np.allclose(ours / ours.max(), expected / expected.max(), rtol=1e-5)


def test_a_feather_rises_from_the_edge_to_one() -> None:
    mask = feather(20, 40, 0.5)
    assert mask.shape == (20, 40)
    assert 0 < mask.min() < 0.02
    assert (mask[5:15, 5:35] == 1).all()
    assert torch.equal(mask, mask.flip(0).flip(1))
    assert (feather(20, 40, 0.0) == 1).all()


def test_a_box_cuts_and_grows() -> None:
    box = Box(1, 2, 3, 4)
    whole = torch.arange(60).reshape(1, 6, 10)
    assert torch.equal(box.of(whole), whole[:, 1:4, 2:6])
    assert box.times(8) == Box(8, 16, 24, 32)
