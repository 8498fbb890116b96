"""The autoencoder on pictures larger than memory: exact, or above 2048x2048 fast.

Exact: ``banded`` runs all of it layer by layer.  Fast: only its coarse levels; ``fast_vae`` does the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from inkwash.core.estimates import TILES, autoencoder_memory, banded_memory
from inkwash.core.request import VaeTiles
from inkwash.models import fast_vae
from inkwash.models.absent import present
from inkwash.models.banded import Banded
from inkwash.models.vae import VAE, Decoder, Encoder
from inkwash.models.walk import finished, levels, middle
from inkwash.runtime.room import Held, Room

EXACT_PIXELS = 2048 * 2048
"""The largest picture that is exact by default: attention over its pixels takes the square of their number."""


def decode(vae: VAE, latents: Tensor, tiles: VaeTiles, room: Room) -> Tensor:
    """What ``vae.decode`` returns.  latents: (1, 4, h, w), unscaled."""
    decoder, factor = cast(Decoder, present(vae.decoder)), 2 ** (len(vae.spec.channels) - 1)
    run = Banded(room, tiles.decoder_tile * factor, latents.shape[3] * factor)
    x = run.convolution(Held.of(vae.post_quant_conv(latents)), decoder.conv_in)
    x = middle(run, x, decoder.mid_block, bool(tiles.fast))
    if tiles.fast:
        return fast_vae.fine_picture(run, x, decoder)
    return finished(run, levels(run, x, decoder.up_blocks), decoder)


def encode(vae: VAE, picture: Tensor, tiles: VaeTiles, room: Room) -> tuple[Tensor, Tensor]:
    """What ``vae.encode`` returns.  picture: (1, 3, H, W) in -1..1."""
    encoder = cast(Encoder, present(vae.encoder))
    run = Banded(room, tiles.encoder_tile, picture.shape[3])
    if tiles.fast:
        x = fast_vae.coarse_map(run, picture, encoder)
        x = levels(run, x, [encoder.down_blocks[-1]])
    else:
        x = levels(run, run.convolution(Held.of(picture), encoder.conv_in), encoder.down_blocks)
    return vae.moments(finished(run, middle(run, x, encoder.mid_block, bool(tiles.fast)), encoder))


def automatic(pixels: int, free: int, dtype: torch.dtype, width: int) -> VaeTiles | None:
    """Tiles for a picture of so many pixels; None: as a whole.  free: bytes.  width: of the outermost level.

    Whether they are fast depends on the size alone, so that a seed means one picture whatever the machine.
    """
    fast = is_large(pixels)
    if not fast and autoencoder_memory(pixels, dtype, width) <= free:
        return None
    fitting = (tile for tile in TILES if banded_memory(tile * 8, dtype, width) <= free // 3)
    tile = next(fitting, TILES[-1])
    return VaeTiles(encoder_tile=tile * 8, decoder_tile=tile, fast=fast)


def is_large(pixels: int) -> bool:
    """Whether a picture is decoded fast unless it is told otherwise."""
    return pixels > EXACT_PIXELS


def smaller(tiles: VaeTiles | None) -> VaeTiles | None:
    """What to try when memory ran out with these; None: nothing is left."""
    if tiles is None:
        return VaeTiles(encoder_tile=8 * TILES[0], decoder_tile=TILES[0])
    if tiles.decoder_tile <= TILES[-1]:
        return None
    return replace(tiles, encoder_tile=max(64, tiles.encoder_tile // 2), decoder_tile=max(8, tiles.decoder_tile // 2))
