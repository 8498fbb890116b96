"""One LDM-key .safetensors in half precision, as any Stable Diffusion 1.x file."""

from __future__ import annotations

import torch
from torch import Tensor

from inkwash.checkpoint.convert import save_ldm
from inkwash.checkpoint.spec import ModelSpec
from inkwash.models.vae import VAE

from .autoencoder import vae_spec
from .latents import load_vae
from .progress import load_state
from .settings import Settings
from .text import text_spec
from .unet import unet_spec

SD1_SCALE = 0.18215  # what every program multiplies SD 1.x latents with


def export(settings: Settings) -> None:
    """Write the averaged weights to the settings' model path; the file states its native size and its name."""
    saved = load_state(settings.paths.state / "unet.pt")
    if saved is None:
        raise FileNotFoundError("there is no trained U-Net yet: run the stage 'unet' first")
    average = blended(saved["average"], load_state(settings.paths.state / "unet-native.pt"), settings.unet.blend)
    vae = load_vae(settings).cpu()
    normalize_latents(vae, average.pop("mean").flatten(), average.pop("deviation").flatten())
    tensors = {f"vae.{name}": value for name, value in vae.state_dict().items()}
    for name, value in average.items():
        tensors[name if name.startswith("unet.") else "text_encoder." + name.removeprefix("text.")] = value
    side = settings.world.side
    spec = ModelSpec(
        settings.paths.model, "sd1", "ldm", "eps", unet_spec(settings), (text_spec(settings),),
        vae_spec(settings.autoencoder), "float16", False, side, settings.paths.model.stem,
    )  # fmt: skip
    metadata = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.title": "Inkwash box",
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.license": "drawn with Noto Color Emoji, SIL Open Font License 1.1",
        "inkwash.pictures_seen": str(int(saved["counters"][1])),
    }
    path = settings.paths.model
    path.parent.mkdir(parents=True, exist_ok=True)
    save_ldm(path, {name: value.half().contiguous() for name, value in tensors.items()}, spec, metadata)
    print(path, f"{path.stat().st_size / 1e6:.1f} MB,", metadata["inkwash.pictures_seen"], "pictures seen")


def blended(average: dict[str, Tensor], native: dict[str, dict[str, Tensor]] | None, share: float) -> dict[str, Tensor]:
    """Weights between those before scenes of twice the side and those after (arXiv:2109.01903), on the CPU.

    native: the state before, if it was kept.  share: 0..1, of those after.
    """
    if native is None:
        return {name: value.cpu() for name, value in average.items()}
    before = native["average"]
    return {name: before[name].cpu().lerp(value.cpu(), share) for name, value in average.items()}


@torch.no_grad()
def normalize_latents(vae: VAE, mean: Tensor, deviation: Tensor) -> None:
    """Change the autoencoder so that SD1's fixed factor gives latents of mean 0 and variance 1.

    mean, deviation: (4,), of the latents as they are now; pictures stay the same.
    """
    scale, channels = 1 / (deviation * SD1_SCALE), vae.spec.latent_channels
    state = vae.state_dict()  # views of the weights; quant_conv gives means first, then log-variances
    state["quant_conv.weight"][:channels] *= scale[:, None, None, None]
    state["quant_conv.bias"][:channels] = (state["quant_conv.bias"][:channels] - mean) * scale
    state["quant_conv.bias"][channels:] += 2 * scale.log()
    state["post_quant_conv.bias"] += state["post_quant_conv.weight"][:, :, 0, 0] @ mean
    state["post_quant_conv.weight"] /= scale[None, :, None, None]
