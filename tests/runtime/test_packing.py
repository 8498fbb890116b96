"""Packed layers compute what the plain ones do; the tree keeps its shape.

Tolerances against the plain layer: relative L2 1e-6 in float32, 1e-2 in bfloat16 (a few roundings).
"""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from inkwash.runtime.packing import PackedConv2d, PackedLinear, WinogradConv2d, can_pack, is_packed, pack

CPU = torch.device("cpu")
TOLERANCES = {torch.float32: 5e-6, torch.bfloat16: 1.5e-2}

pytestmark = pytest.mark.skipif(not can_pack(CPU, torch.float32), reason="this build of PyTorch has no oneDNN")


def network(dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(4, 256, 3, padding=1),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.SiLU(), nn.Conv2d(256, 32, 3, stride=2, padding=1)),
        nn.Conv2d(32, 48, 1),
        nn.Flatten(2),
        nn.Linear(64, 24, bias=False),
        nn.LayerNorm(24),
        nn.Linear(24, 8),
    )
    return layers.to(dtype).eval().requires_grad_(False)


def supported(dtype: torch.dtype) -> None:
    if not can_pack(CPU, dtype):
        pytest.skip(f"oneDNN does not compute {dtype} on this CPU")


def distance(left: Tensor, right: Tensor) -> float:
    return float((left.double() - right.double()).norm() / right.double().norm())


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("winograd", [False, True])
def test_a_packed_network_computes_the_same(dtype: torch.dtype, winograd: bool) -> None:
    supported(dtype)
    plain = network(dtype)
    packed = copy.deepcopy(plain)
    pack(packed, CPU, dtype, many_pixels=[packed[1]] if winograd else [])
    x = torch.randn(3, 4, 16, 16).to(dtype, memory_format=torch.channels_last)
    assert distance(packed(x), plain(x)) < TOLERANCES[dtype]


def test_the_tree_keeps_its_names_and_only_layers_with_packed_forms_change() -> None:
    tree = network(torch.float32)
    before = {name: type(layer) for name, layer in tree.named_modules()}
    pack(tree, CPU, torch.float32, many_pixels=[tree[1]])
    after = {name: type(layer) for name, layer in tree.named_modules()}
    assert before.keys() == after.keys()
    changed = {name: kind for name, kind in after.items() if kind is not before[name]}
    assert changed == {
        "0": PackedConv2d,
        "1.0": WinogradConv2d,
        "1.2": PackedConv2d,  # stride 2
        "4": PackedLinear,
        "6": PackedLinear,
    }


def test_a_packed_tree_can_be_told() -> None:
    tree = network(torch.float32)
    assert not is_packed(tree)
    pack(tree, CPU, torch.float32)
    assert is_packed(tree)


def test_original_weights_are_let_go() -> None:
    tree = network(torch.float32)
    weights = [weakref.ref(layer.weight) for layer in tree.modules() if isinstance(layer, nn.Linear)]
    pack(tree, CPU, torch.float32)
    gc.collect()
    assert [weight() for weight in weights] == [None] * len(weights)


def test_packing_twice_changes_nothing_more() -> None:
    tree = network(torch.float32)
    pack(tree, CPU, torch.float32)
    layers = list(tree.modules())
    pack(tree, CPU, torch.float32)
    assert all(before is after for before, after in zip(layers, tree.modules(), strict=True))


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float32), ("cpu", torch.float16), ("cpu", torch.float64)])
def test_what_onednn_does_not_compute_stays_plain(device: str, dtype: torch.dtype) -> None:
    tree = network(torch.float32)
    pack(tree, torch.device(device), dtype)
    assert not is_packed(tree)


def test_a_wrapping_convolution_stays_plain() -> None:
    tree = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"))
    pack(tree, CPU, torch.float32)
    assert not is_packed(tree)


@pytest.mark.parametrize("kind", [PackedConv2d, WinogradConv2d])
def test_padding_may_be_taken_away(kind: type[PackedConv2d]) -> None:
    plain = nn.Conv2d(8, 8, 3, padding=1).requires_grad_(False)
    packed, x = kind(plain), torch.randn(1, 8, 6, 6)
    packed.padding = plain.padding = (0, 0)
    assert distance(packed(x), plain(x)) < TOLERANCES[torch.float32]
