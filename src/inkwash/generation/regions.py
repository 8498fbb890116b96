"""Regions with prompts of their own: who is asked where, and how much each answer counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inkwash.core.boxes import Box
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import Region, TiledDiffusion
from inkwash.diffusion import Prediction
from inkwash.diffusion.tiles import feather, gaussian
from inkwash.generation.run import Ask, Run


@dataclass(frozen=True, eq=False)
class Layer:
    """One region's answers: predictions of the box's size."""

    region: Region
    box: Box
    ask: Ask


def box_of(region: Region, size: tuple[int, int]) -> Box:
    """Where a region lies on a grid of (h, w) places; at least one of them."""
    top, left = (min(round(start * side), side - 1) for start, side in ((region.y, size[0]), (region.x, size[1])))
    bottom, right = round((region.y + region.h) * size[0]), round((region.x + region.w) * size[1])
    return Box(top, left, max(1, min(bottom, size[0]) - top), max(1, min(right, size[1]) - left))


def region_shares(plan: TiledDiffusion, size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
    """How much the tiles count at each place, (h, w), and each region in its box; they add up to 1 everywhere.

    Behind: tiles count 1, background regions their weight, in Mixture of Diffusers less towards their edge.  Before
    them foreground regions, as opaque as their feather says; among themselves they count by feather and weight.
    Raises InvalidRequest where nothing is drawn.
    """
    boxes, weights = (
        [box_of(region, size) for region in plan.regions],
        [_weight(plan, one, size) for one in plan.regions],
    )
    behind = torch.full(size, float(plan.draw_background))
    before, clear = torch.zeros(size), torch.ones(size)
    for region, box, weight in zip(plan.regions, boxes, weights, strict=True):
        if region.blend == "Foreground":
            before[box.place] += weight
            clear[box.place] *= 1 - feather(box.height, box.width, region.feather_ratio)
        else:
            behind[box.place] += weight
    _check_cover(behind + before)
    opacity = torch.where(behind > 0, 1 - clear, 1.0)
    rest = torch.where(behind > 0, (1 - opacity) / behind, 0.0)
    over = torch.where(before > 0, opacity / before, 0.0)
    inside = [
        (over if region.blend == "Foreground" else rest)[box.place] * weight
        for region, box, weight in zip(plan.regions, boxes, weights, strict=True)
    ]
    return rest * float(plan.draw_background), inside


def _weight(plan: TiledDiffusion, region: Region, size: tuple[int, int]) -> Tensor:
    box = box_of(region, size)
    if region.blend == "Foreground":
        return region.weight * feather(box.height, box.width, region.feather_ratio)
    flat = plan.method == "MultiDiffusion"
    return region.weight * (torch.ones(box.height, box.width) if flat else gaussian(box.height, box.width))


def _check_cover(drawn: Tensor) -> None:
    bare = float((drawn <= 0).float().mean())
    if bare:
        raise InvalidRequest(
            f"The regions leave {max(bare, 0.001):.1%} of the picture undrawn.",
            "Draw the background too, or let the regions cover the whole picture.",
            "tiled.draw_background",
        )


def layered(base: Ask | None, layers: Sequence[Layer], plan: TiledDiffusion, like: Tensor) -> Ask:
    """All of them asked in turn and mixed by ``region_shares``.  base: the tiles, None without a background."""
    under, inside = region_shares(plan, (like.shape[1], like.shape[2]))
    under, inside = under.to(like.device), [share.to(like.device) for share in inside]

    def ask(x: Tensor, sigma: float, call: int) -> Run[Prediction]:
        parts: list[tuple[Box, Tensor, Prediction]] = []
        if base is not None:
            parts.append((Box(0, 0, *x.shape[1:]), under, (yield from base(x, sigma, call))))
        for layer, share in zip(layers, inside, strict=True):
            parts.append((layer.box, share, (yield from layer.ask(x, sigma, call))))
        return _mixed(parts, x)

    return ask


def _mixed(parts: Sequence[tuple[Box, Tensor, Prediction]], x: Tensor) -> Prediction:
    """Unconditional predictions are mixed only where every part has one."""
    denoised, uncond = torch.zeros_like(x), torch.zeros_like(x)
    for box, share, prediction in parts:
        denoised[(..., *box.place)] += prediction.denoised * share
        if prediction.uncond is not None:
            uncond[(..., *box.place)] += prediction.uncond * share
    return Prediction(denoised, None if any(one.uncond is None for _, _, one in parts) else uncond)
