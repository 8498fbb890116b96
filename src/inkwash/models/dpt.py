"""DPT-hybrid, arXiv:2103.13413: how far away each pixel is, by a ResNet that feeds a vision transformer.

Names are those of MiDaS's own files (dpt_hybrid-midas, and ``depth_model.model.`` in SD 2's depth checkpoint).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # pixels a token
MULTIPLE = 32  # of the sides that can be read
HEAD_WIDTH = 64
GROUPS = 32
STANDARDIZED = 1e-8  # added to the variance of standardized weights

Shape = tuple[int, ...]


@dataclass(frozen=True)
class DPTSpec:
    """Sizes, read from the shapes of the weights."""

    width: int  # of the transformer, 768
    layers: int  # 12
    mlp_width: int
    grid: int  # tokens a side of the position table, 24
    stem: int  # channels of the ResNet's first convolution, 64
    stages: tuple[tuple[int, int, int], ...]  # (blocks, inner channels, channels) of each of the three
    reassembled: tuple[int, int]  # channels of the transformer's two maps, (768, 768)
    features: int  # channels of the fusion, 256

    @property
    def hooks(self) -> tuple[int, int]:
        """The transformer's layers that are looked at: the ninth and the last of twelve."""
        return 3 * self.layers // 4 - 1, self.layers - 1

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> DPTSpec:
        """Raises KeyError or IndexError for shapes that are no DPT-hybrid's."""
        model, backbone = "pretrained.model.", "pretrained.model.patch_embed.backbone."
        stages = []
        for number in range(3):
            stage = f"{backbone}stages.{number}.blocks."
            inner, last = shapes[f"{stage}0.conv1.weight"][0], shapes[f"{stage}0.conv3.weight"][0]
            stages.append((count(shapes, stage, ".conv1.weight"), inner, last))
        return cls(
            width=shapes[f"{model}cls_token"][-1],
            layers=count(shapes, f"{model}blocks.", ".norm1.weight"),
            mlp_width=shapes[f"{model}blocks.0.mlp.fc1.weight"][0],
            grid=int((shapes[f"{model}pos_embed"][1] - 1) ** 0.5),
            stem=shapes[f"{backbone}stem.conv.weight"][0],
            stages=tuple(stages),
            reassembled=(shapes["scratch.layer3_rn.weight"][1], shapes["scratch.layer4_rn.weight"][1]),
            features=shapes["scratch.layer1_rn.weight"][0],
        )


def count(names: Container[str], before: str, after: str) -> int:
    """How many of before + "0" + after, before + "1" + after, ... there are."""
    number = 0
    while f"{before}{number}{after}" in names:
        number += 1
    return number


class StandardConv(nn.Conv2d):
    """A convolution without bias whose weights have mean 0 and variance 1, arXiv:1903.10520.

    Padded as TensorFlow does: an odd pixel more at the right and below.
    """

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        variance = self.weight.var(dim=(1, 2, 3), unbiased=False, keepdim=True)
        weight = (self.weight - mean) * (variance + STANDARDIZED).rsqrt()
        return F.conv2d(_padded(x, self.kernel_size[0], self.stride[0]), weight, stride=self.stride)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> StandardConv:
    return StandardConv(inputs, outputs, kernel, stride, bias=False)


def _padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """So that the output has ceil(side / stride) pixels."""
    margins: list[int] = []
    for side in (x.shape[3], x.shape[2]):
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        margins += [missing // 2, missing - missing // 2]
    return F.pad(x, margins) if any(margins) else x


class Shortcut(nn.Module):
    """What is added where a stage changes the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, 1, stride)
        self.norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1; added, then ReLU."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.downsample = Shortcut(inputs, outputs, stride) if first else None
        self.conv1, self.norm1 = _conv(inputs, inner, 1), nn.GroupNorm(GROUPS, inner)
        self.conv2, self.norm2 = _conv(inner, inner, 3, stride), nn.GroupNorm(GROUPS, inner)
        self.conv3, self.norm3 = _conv(inner, outputs, 1), nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm3(self.conv3(F.relu(self.norm2(self.conv2(h)))))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Picture (B, 3, H, W) -> maps of 1/4, 1/8 and 1/16 of its side."""

    def __init__(self, spec: DPTSpec) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv": _conv(3, spec.stem, 7, 2), "norm": nn.GroupNorm(GROUPS, spec.stem)})
        self.stages = nn.ModuleList()
        inputs = spec.stem
        for number, (count, inner, outputs) in enumerate(spec.stages):
            blocks = [
                Bottleneck(inputs if not i else outputs, inner, outputs, 1 if i or not number else 2, first=not i)
                for i in range(count)
            ]
            self.stages.append(nn.ModuleDict({"blocks": nn.Sequential(*blocks)}))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.stem["norm"](self.stem["conv"](x)))
        x = F.max_pool2d(_padded(x, 3, 2), 3, 2)  # zeros do, after a ReLU
        maps = []
        for stage in self.stages:
            x = stage.get_submodule("blocks")(x)
            maps.append(x)
        return maps


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then two linear layers with a GELU; each on a LayerNorm, each added."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, mlp_width), "fc2": nn.Linear(mlp_width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Transformer(nn.Module):
    """arXiv:2010.11929 on the pixels of the ResNet's last map."""

    def __init__(self, spec: DPTSpec) -> None:
        super().__init__()
        self.grid, self.hooks = spec.grid, spec.hooks
        self.cls_token = nn.Parameter(torch.zeros(1, 1, spec.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, spec.grid**2 + 1, spec.width))
        projection = nn.Conv2d(spec.stages[-1][2], spec.width, 1)
        self.patch_embed = nn.ModuleDict({"backbone": ResNet(spec), "proj": projection})
        self.blocks = nn.ModuleList(Block(spec.width, spec.mlp_width) for _ in range(spec.layers))

    def forward(self, picture: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the ResNet's maps, and the tokens (B, 1 + n, width) after the layers that are looked at."""
        maps = self.patch_embed["backbone"](picture)
        patches = self.patch_embed["proj"](maps[-1])
        x = torch.cat([self.cls_token.expand(len(picture), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + self._positions(patches.shape[2], patches.shape[3])
        seen = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.hooks:
                seen.append(x)
        return maps, seen

    def _positions(self, height: int, width: int) -> Tensor:
        """The table, learned on a square, at another size."""
        table = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, -1, self.grid, self.grid)
        resized = F.interpolate(table, size=(height, width), mode="bilinear", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class Readout(nn.Module):
    """Tokens to a map: each one is told the first, which stands for the whole picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        whole = tokens[:, :1].expand_as(tokens[:, 1:])
        return self.project(torch.cat([tokens[:, 1:], whole], dim=2)).transpose(1, 2).unflatten(2, size)


class Residual(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """A coarse map and the next finer one -> twice the coarse one's size."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.resConfUnit1, self.resConfUnit2 = Residual(features), Residual(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, coarse: Tensor, fine: Tensor | None) -> Tensor:
        x = coarse if fine is None else coarse + self.resConfUnit1(fine)
        x = F.interpolate(self.resConfUnit2(x), scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.out_conv(x)


class DPT(nn.Module):
    """Picture -> inverse depth, up to a scale and a shift of its own; near is large."""

    def __init__(self, spec: DPTSpec) -> None:
        super().__init__()
        third, fourth = spec.reassembled
        width, features = spec.width, spec.features
        self.pretrained = nn.ModuleDict(
            {
                "model": Transformer(spec),
                "act_postprocess3": nn.ModuleDict({"0": Readout(width), "3": nn.Conv2d(width, third, 1)}),
                "act_postprocess4": nn.ModuleDict(
                    {
                        "0": Readout(width),
                        "3": nn.Conv2d(width, fourth, 1),
                        "4": nn.Conv2d(fourth, fourth, 3, stride=2, padding=1),
                    }
                ),
            }
        )
        self.scratch = nn.ModuleDict()
        channels = spec.stages[0][2], spec.stages[1][2], third, fourth
        for number, count in enumerate(channels, 1):
            self.scratch[f"layer{number}_rn"] = nn.Conv2d(count, features, 3, padding=1, bias=False)
            self.scratch[f"refinenet{number}"] = Fusion(features)
        self.scratch["output_conv"] = nn.Sequential(
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(features // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """picture: (B, 3, H, W) in -1..1, both sides multiples of 32.  Returns (B, H, W)."""
        maps, seen = self.pretrained["model"](picture)
        size = maps[2].shape[2], maps[2].shape[3]
        third, fourth = self.pretrained["act_postprocess3"], self.pretrained["act_postprocess4"]
        assert isinstance(third, nn.ModuleDict)
        assert isinstance(fourth, nn.ModuleDict)
        coarse = third["3"](third["0"](seen[0], size))
        coarsest = fourth["4"](fourth["3"](fourth["0"](seen[1], size)))
        layers = [self.scratch[f"layer{i}_rn"](x) for i, x in enumerate((maps[0], maps[1], coarse, coarsest), 1)]
        x = self.scratch["refinenet4"](layers[3], None)
        for number in (3, 2, 1):
            x = self.scratch[f"refinenet{number}"](x, layers[number - 1])
        return self.scratch["output_conv"](x)[:, 0]
