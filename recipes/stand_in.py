"""Make the stand-in for the model in the box: Stable Diffusion 1.x in structure, 2 MB, untrained.

    python recipes/stand_in.py

It lets a fresh clone take the whole road from words to a file; its pictures mean nothing, and it says so.
"""

from __future__ import annotations

from pathlib import Path

import torch

from inkwash import checkpoint
from inkwash.checkpoint import ModelSpec, TextSpec, UNetSpec, VAESpec
from inkwash.models.text import TextEncoder
from inkwash.models.unet import UNet
from inkwash.models.vae import VAE

PATH = Path(__file__).parents[1] / "src/inkwash/box/inkwash-stand-in.safetensors"
UNET = UNetSpec(4, 4, (32, 32), 1, (1, 0), 1, 4, (8, 8), 8, False)
TEXT = TextSpec(49408, 77, 4, 1, 1, 16, "quick_gelu")
AUTOENCODER = VAESpec(4, (32, 32, 32, 32), 1, 0.18215)
METADATA = {
    "modelspec.title": "Inkwash stand-in",
    "modelspec.resolution": "128x128",
    "modelspec.prediction_type": "epsilon",
    "inkwash.note": "an untrained stand-in, so the picture means nothing; draw with a model of your own (--model)",
}


def main() -> None:
    torch.manual_seed(0)
    networks = {"unet": UNet(UNET), "text_encoder": TextEncoder(TEXT), "vae": VAE(AUTOENCODER)}
    weights = {
        f"{prefix}.{name}": tensor.half()
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    spec = ModelSpec(PATH, "sd1", "ldm", "eps", UNET, (TEXT,), AUTOENCODER, "float16", False, 128, PATH.stem)
    PATH.parent.mkdir(exist_ok=True)
    checkpoint.save_ldm(PATH, weights, spec, METADATA)
    print(f"{PATH}: {PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
