"""The autoencoder between pictures and latents, arXiv:2112.10752.  Names are those of diffusers' ``AutoencoderKL``."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from inkwash.checkpoint.spec import VAESpec
from inkwash.models.attention import Attend, Attention, sdpa
from inkwash.models.blocks import GROUPS, ResnetBlock, Upsample, image_of, tokens_of

EPS = 1e-6


class AttentionBlock(nn.Module):
    """One head over all pixels of the lowest resolution."""

    def __init__(self, channels: int, attend: Attend) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, channels, eps=EPS)
        inner = Attention(channels, channels, 1, attend, bias=True)
        self.to_q, self.to_k, self.to_v, self.to_out = inner.to_q, inner.to_k, inner.to_v, inner.to_out
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        tokens = tokens_of(self.group_norm(x))
        q, k, v = (layer(tokens)[:, None] for layer in (self.to_q, self.to_k, self.to_v))
        return x + image_of(self.to_out[0](self.attend(q, k, v)[:, 0]), x.shape[2], x.shape[3])


class MidBlock(nn.Module):
    """Residual, attention, residual at the lowest resolution."""

    def __init__(self, channels: int, attend: Attend) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([AttentionBlock(channels, attend)])
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, None, EPS) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2, padded at the right and bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Level(nn.Module):
    """Residual blocks of one resolution, then a change of resolution unless it is the last."""

    def __init__(self, inputs: int, channels: int, layers: int, resample: type[nn.Module] | None) -> None:
        super().__init__()
        widths = [inputs] + [channels] * (layers - 1)
        self.resnets = nn.ModuleList(ResnetBlock(width, channels, None, EPS) for width in widths)
        name = "downsamplers" if resample is Downsample else "upsamplers"
        self.resample = name if resample else ""
        if resample:
            self.add_module(name, nn.ModuleList([resample(channels)]))

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        return getattr(self, self.resample)[0](x) if self.resample else x


class Encoder(nn.Module):
    """Picture (B, 3, H, W) -> moments (B, 2 * latent channels, H/8, W/8)."""

    def __init__(self, spec: VAESpec, attend: Attend) -> None:
        super().__init__()
        widths, top = spec.channels, len(spec.channels) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Level(widths[max(i - 1, 0)], width, spec.layers, Downsample if i < top else None)
            for i, width in enumerate(widths)
        )
        self.mid_block = MidBlock(widths[-1], attend)
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * spec.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Latents (B, 4, h, w) -> picture (B, 3, 8h, 8w)."""

    def __init__(self, spec: VAESpec, attend: Attend) -> None:
        super().__init__()
        widths, top = spec.channels[::-1], len(spec.channels) - 1
        self.conv_in = nn.Conv2d(spec.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], attend)
        self.up_blocks = nn.ModuleList(
            Level(widths[max(i - 1, 0)], width, spec.layers + 1, Upsample if i < top else None)
            for i, width in enumerate(widths)
        )
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class VAE(nn.Module):
    """KL autoencoder.  Its latents are *not* scaled: the U-Net's are ``spec.scale_factor`` times these."""

    def __init__(self, spec: VAESpec, attend: Attend = sdpa) -> None:
        super().__init__()
        moments = 2 * spec.latent_channels
        self.spec = spec
        self.encoder = Encoder(spec, attend)
        self.decoder = Decoder(spec, attend)
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(spec.latent_channels, spec.latent_channels, 1)

    def encode(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """picture: (B, 3, H, W) in -1..1.  Returns mean and log-variance, each (B, 4, H/8, W/8)."""
        return self.moments(self.encoder(picture))

    def moments(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of what the encoder returned."""
        mean, log_variance = self.quant_conv(encoded).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents: Tensor) -> Tensor:
        """latents: (B, 4, h, w), unscaled.  Returns (B, 3, 8h, 8w), about -1..1."""
        return self.decoder(self.post_quant_conv(latents))
