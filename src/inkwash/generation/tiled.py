"""Tiled diffusion: a picture larger than the model was made for, seen in overlapping tiles (arXiv:2302.08113)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from inkwash.core.boxes import Box, grid
from inkwash.core.errors import InvalidRequest
from inkwash.core.request import TiledDiffusion
from inkwash.diffusion.tiles import gaussian, shares
from inkwash.generation.conditioning import row
from inkwash.generation.run import Beside, Denoise, Encoded, Run, See, Together
from inkwash.models.stable_diffusion import StableDiffusion

MOST = 4096
"""Tiles of one picture; more are a slip of the finger."""


def seeing(
    model: StableDiffusion, beside: Beside, like: Tensor, plan: TiledDiffusion | None, box: Box | None = None
) -> See:
    """How a model looks at pictures like this, (4, h, w), or at a box of them: at once, or in tiles.

    beside: of the whole picture.  What is seen of a box has the box's size.
    """
    whole = Box(0, 0, *like.shape[1:])
    inside = whole if box is None else box
    tiles = [inside] if plan is None else tiles_of(plan, inside)
    if plan is None or len(tiles) == 1:
        return _at_once(model, beside, None if inside == whole else inside)
    return _in_tiles(model, beside, inside, tiles, [share.to(like.device) for share in shares_of(plan, inside)], plan)


def tiles_of(plan: TiledDiffusion, inside: Box) -> list[Box]:
    """The tiles that cover a box, in the coordinates of the whole picture.  Raises InvalidRequest for too many."""
    tiles = grid((inside.height, inside.width), (plan.tile_height, plan.tile_width), plan.overlap)
    if len(tiles) > MOST:
        raise InvalidRequest(
            f"Tiles of {plan.tile_width}x{plan.tile_height} that share {plan.overlap} are {len(tiles)} at this size.",
            f"Take larger tiles or less overlap: at most {MOST} are drawn.",
            "tiled.overlap",
        )
    return [Box(tile.top + inside.top, tile.left + inside.left, tile.height, tile.width) for tile in tiles]


def shares_of(plan: TiledDiffusion, inside: Box) -> list[Tensor]:
    """How much each of these tiles counts at each of its places, (h, w) each; they add up to 1 everywhere."""
    tiles = grid((inside.height, inside.width), (plan.tile_height, plan.tile_width), plan.overlap)
    high, wide = tiles[0].height, tiles[0].width
    weight = torch.ones(high, wide) if plan.method == "MultiDiffusion" else gaussian(high, wide)
    return shares(tiles, [weight] * len(tiles), (inside.height, inside.width))


def _at_once(model: StableDiffusion, beside: Beside, box: Box | None) -> See:
    def see(x: Tensor, sigma: float, texts: Sequence[Encoded]) -> Run[list[Tensor]]:
        seen: list[Tensor] = yield Denoise(model, tuple(row(model, x, sigma, text, beside, box) for text in texts))
        return seen

    return see


def _in_tiles(
    model: StableDiffusion,
    beside: Beside,
    inside: Box,
    tiles: Sequence[Box],
    weights: Sequence[Tensor],
    plan: TiledDiffusion,
) -> See:
    """Every text's predictions of the tiles, mixed by their shares."""

    def see(x: Tensor, sigma: float, texts: Sequence[Encoded]) -> Run[list[Tensor]]:
        seen = [torch.zeros(x.shape[0], inside.height, inside.width, device=x.device) for _ in texts]
        for batch in batched(list(zip(tiles, weights, strict=True)), plan.tile_batch):
            asked = [
                Denoise(model, tuple(row(model, x, sigma, text, beside, tile) for text in texts)) for tile, _ in batch
            ]
            answers: list[list[Tensor]] = yield Together(tuple(asked))
            for (tile, share), predictions in zip(batch, answers, strict=True):
                place = Box(tile.top - inside.top, tile.left - inside.left, tile.height, tile.width).place
                for total, prediction in zip(seen, predictions, strict=True):
                    total[(..., *place)] += prediction * share
        return seen

    return see


def batched(items: Sequence[tuple[Box, Tensor]], size: int) -> Iterator[Sequence[tuple[Box, Tensor]]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
