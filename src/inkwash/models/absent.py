"""Networks whose weights come when they work and go afterwards.

"swapped": those of one network at a time are where they are computed with; "sequential": those of one block.  What is
fetched from: the model's file, mapped, on a CPU; the machine's memory on a GPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from inkwash.models import text, unet
from inkwash.models.vae import VAE

Fetch = Callable[[str, Tensor], Tensor]
"""A weight by its full name, given its place holder: the weight where it is computed with."""

Finish = Callable[[nn.ModuleList, str], None]
"""Lays out a part whose weights have come: alone in a list, so that it can be replaced; and its full name."""

View = Callable[[nn.Module], nn.Module]

CONTAINERS = (
    nn.ModuleList, unet.UNet, unet.Level, text.TextEncoder, text.TextTransformer, text.Encoder, VAE,
)  # fmt: skip
"""What only holds the parts that come and go; its parts are asked for by name."""


class Place(Protocol):
    """Where parts are while they work."""

    def part(self, network: str, name: str, make: Callable[[], nn.Module]) -> nn.Module: ...


class Passing:
    """Parts stay for one call."""

    def part(self, network: str, name: str, make: Callable[[], nn.Module]) -> nn.Module:
        return make()


class Seat:
    """Parts stay until one of another network comes."""

    def __init__(self) -> None:
        self._network = ""
        self._parts: dict[str, nn.Module] = {}

    def part(self, network: str, name: str, make: Callable[[], nn.Module]) -> nn.Module:
        if network != self._network:
            self._parts.clear()
            self._network = network
        if name not in self._parts:
            self._parts[name] = make()
        return self._parts[name]


class Absent(nn.Module):
    """A part that is made when it is called.  view: what is made of it each time, as ``models.tiling`` does."""

    def __init__(self, network: str, name: str, place: Place, make: Callable[[], nn.Module], view: View | None = None):
        super().__init__()
        self._network, self._name = network, name
        self._place, self._make, self._view = place, make, view

    def present(self) -> nn.Module:
        part = self._place.part(self._network, self._name, self._make)
        return part if self._view is None else self._view(part)

    def seen(self, view: View) -> Absent:
        """The same part, seen otherwise; views lie one over another."""
        before = self._view
        over: View = view if before is None else lambda part: view(before(part))
        return Absent(self._network, self._name, self._place, self._make, over)

    def forward(self, *arguments: Any) -> Any:
        return self.present()(*arguments)


def present(module: nn.Module) -> nn.Module:
    """The part itself, for who wants to look inside."""
    return module.present() if isinstance(module, Absent) else module


def absent(network: nn.Module, name: str, place: Place, fetch: Fetch, finish: Finish) -> None:
    """Make every part of a network come and go; the network itself is changed.

    Its weights are only looked at for their names: they may be on the meta device.  name: the component's, "unet" for
    one."""
    _empty(network, name, name, place, fetch, finish)


def _empty(module: nn.Module, path: str, component: str, place: Place, fetch: Fetch, finish: Finish) -> None:
    for name, child in list(module.named_children()):
        where = f"{path}.{name}"
        if isinstance(child, CONTAINERS):
            _empty(child, where, component, place, fetch, finish)
        elif any(True for _ in child.parameters()):
            module._modules[name] = Absent(component, where, place, _maker(child, where, fetch, finish))


def _maker(
    part: nn.Module, path: str, fetch: Fetch, finish: Finish
) -> Callable[[], nn.Module]:  # fmt: skip
    def make() -> nn.Module:
        holder = nn.ModuleList([filled(part, path, fetch)])
        finish(holder, path)
        return holder[0]

    return make


def filled(module: nn.Module, path: str, fetch: Fetch) -> nn.Module:
    """A copy of the module tree with weights that are fetched."""
    twin = copy.copy(module)
    twin._parameters = {
        name: None if held is None else nn.Parameter(fetch(f"{path}.{name}", held), requires_grad=False)
        for name, held in module._parameters.items()
    }
    twin._modules = {name: child and filled(child, f"{path}.{name}", fetch) for name, child in module._modules.items()}
    return twin
