"""Where training starts: with what the structure makes hard to find and is easy to put there.

The autoencoder starts as a pyramid of averages that keeps colours, so that training is spent on shapes.

GroupNorm takes the mean of a group away, and with it the colour of a flat picture, unless the group holds something
else to be measured by.  A narrow network needs thousands of steps to find that out.  Here three channels carry red,
green and blue all the way, residual blocks add nothing yet, and each norm on that way meets its colour together with
a constant (encoder, four channels a group) or with marks at the left and right border (decoder, two a group).  Behind
the norm, silu(x) - silu(-x) = x makes the way exactly linear.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inkwash.models.unet import UNet
from inkwash.models.vae import VAE

GAIN = 1.6  # latents a colour of -1..1 becomes
CONSTANT = 2.0  # beside the encoder's colours
MARK = 3.0  # of the borders, beside the decoder's colours


@torch.no_grad()
def begin_simple(vae: VAE) -> VAE:
    """Overwrite parts of the fresh weights.  The encoder needs 4 channels a group at its end, the decoder 2."""
    weights = vae.state_dict()  # shares memory with the module
    for name, weight in weights.items():
        if ".conv2." in name or "to_out" in name:
            weight.zero_()
        elif name.endswith(("downsamplers.0.conv.weight", "upsamplers.0.conv.weight")):
            weight.mul_(0.4)
            weight[:, :, *_taps(name)] += torch.eye(len(weight))[:, :, None, None] / (4 if "down" in name else 1)
    for name, module in vae.named_modules():
        if isinstance(module, nn.Conv2d) and name.endswith(("conv_shortcut", "samplers.0.conv", "conv_in")):
            _carry(module, 4 if name.startswith("decoder") else 3)
    last = len(vae.spec.channels) - 1
    _encoder_end(weights, f"encoder.down_blocks.{last}.resnets.0.conv_shortcut")
    _decoder_end(weights, f"decoder.up_blocks.{last}.resnets.0.conv_shortcut")
    for name in ("quant_conv", "post_quant_conv"):
        weights[f"{name}.weight"].copy_(torch.eye(len(weights[f"{name}.weight"]))[:, :, None, None])
        weights[f"{name}.bias"].zero_()
    return vae


def _taps(name: str) -> tuple[slice, slice]:
    """The four taps whose mean is a pixel of half the size, or the middle one."""
    return (slice(0, 2), slice(0, 2)) if "down" in name else (slice(1, 2), slice(1, 2))


def _carry(conv: nn.Conv2d, count: int) -> None:
    """Let the first ``count`` channels pass unchanged, averaged where the size is halved."""
    count = min(count, conv.in_channels)
    conv.weight[:count] = 0
    assert conv.bias is not None
    conv.bias[:count] = 0
    if conv.stride[0] == 2:
        conv.weight[:count, :count, :2, :2] = torch.eye(count)[:, :, None, None] / 4
    else:
        middle = conv.kernel_size[0] // 2
        conv.weight[:count, :count, middle, middle] = torch.eye(count)


def _encoder_end(weights: dict[str, Tensor], shortcut: str) -> None:
    """Groups of (colour, constant, -constant, free), once for each colour and once for its negative."""
    weight, bias = weights[shortcut + ".weight"], weights[shortcut + ".bias"]
    out = weights["encoder.conv_out.weight"]
    weights["encoder.conv_out.bias"].zero_()
    out[3:].mul_(0.3)
    out[:3].mul_(0.1)
    for group in range(6):
        colour, sign, first = group % 3, 1 if group < 3 else -1, 4 * group
        weight[first : first + 3], bias[first] = 0, 0
        weight[first, colour] = sign
        bias[first + 1], bias[first + 2] = CONSTANT, -CONSTANT
        out[:3, first : first + 3] = 0
        out[colour, first, 1, 1] = sign * GAIN * CONSTANT / 2**0.5
    latents = len(out) // 2
    out[latents:].mul_(0.1)
    weights["encoder.conv_out.bias"][latents:] = -5.0  # a posterior deviation of 0.08


def _decoder_end(weights: dict[str, Tensor], shortcut: str) -> None:
    """The border marks, made where pictures have a quarter of their size; then pairs of (colour, -colour) + marks."""
    weights["decoder.conv_in.weight"][3] = 0
    for colour in range(3):
        weights["decoder.conv_in.weight"][colour, colour, 1, 1] = 1 / GAIN
    weights["decoder.conv_in.bias"][3] = 1
    first_up = weights["decoder.up_blocks.0.upsamplers.0.conv.weight"]
    first_up[3] = 0
    first_up[3, 3, 1, 0], first_up[3, 3, 1, 2] = -1, 1  # nothing inside, 1 at the left border, -1 at the right
    weight, bias, out = weights[shortcut + ".weight"], weights[shortcut + ".bias"], weights["decoder.conv_out.weight"]
    weights["decoder.conv_out.bias"].zero_()
    out.mul_(0.1)
    for group in range(6):
        colour, mark = group % 3, MARK if group < 3 else -MARK
        for channel, sign in ((2 * group, 1), (2 * group + 1, -1)):
            weight[channel], bias[channel] = 0, 0
            weight[channel, colour], weight[channel, 3] = sign, mark
            out[:, channel] = 0
            out[colour, channel, 1, 1] = 0.5 * sign


@torch.no_grad()
def begin_as_identity(unet: UNet) -> UNet:
    """Let the U-Net answer its own input at first, which is nearly the noise where there is much of it.

    What eps-prediction has to get right at high noise is a small difference from the input: a fresh network needs tens
    of thousands of pictures to say the input exactly, and only then learns what a text means for the layout.
    The way leads from conv_in over the outermost skip to conv_norm_out, whose groups need 3 channels: (x, K, -K).
    """
    weights, latents = unet.state_dict(), unet.spec.in_channels
    width, last = unet.spec.channels[0], f"up_blocks.{len(unet.spec.channels) - 1}.resnets.{unet.spec.layers}"
    shortcut, bias = weights[f"{last}.conv_shortcut.weight"], weights[f"{last}.conv_shortcut.bias"]
    out = weights["conv_out.weight"].zero_()
    weights["conv_out.bias"].zero_()
    _carry(unet.conv_in, latents)
    for group in range(2 * latents):
        latent, sign, first = group % latents, 1 if group < latents else -1, 3 * group
        ours = slice(first, first + 3)
        for name in ("conv_shortcut.weight", "conv_shortcut.bias", "conv2.weight", "conv2.bias"):
            weights[f"{last}.{name}"][ours] = 0
        shortcut[first, shortcut.shape[1] - width + latent] = sign
        bias[first + 1], bias[first + 2] = CONSTANT, -CONSTANT
        weights["conv_norm_out.weight"][ours] = 1
        weights["conv_norm_out.bias"][ours] = 0
        out[latent, first, 1, 1] = sign * ((1 + 2 * CONSTANT**2) / 3) ** 0.5
    return unet
