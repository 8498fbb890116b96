"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): momentum made orthogonal, for weight matrices.

Here it learned about half as much again from a picture as AdamW did (one comparison, 4,800 pictures).  Everything that
is not a matrix between hidden layers (norms, biases, embeddings, first and last convolution) is left to AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)  # the post's coefficients: every singular value goes to about 1 in five rounds
ROUNDS = 5
ADAM_SIZE = 0.2  # root mean square of an AdamW update, arXiv:2502.16982: one learning rate serves both


@torch.no_grad()
def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about 1, by Newton-Schulz in bfloat16.  (m, n) -> (m, n)."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.mT if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrix.dtype)


def hidden_matrices(module: nn.Module, but: Iterable[str]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters Muon takes and the others.  ``but``: names, or beginnings of names, that it does not take."""
    skipped = tuple(but)
    matrices, others = [], []
    for name, parameter in module.named_parameters():
        (others if parameter.ndim < 2 or name.startswith(skipped) else matrices).append(parameter)
    return matrices, others


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, scaled to the size of an AdamW update; decoupled weight decay.

    Groups with ``adam=True`` are updated as AdamW does (betas, eps 1e-8).  Convolutions count as (out, in * k * k).
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay, "adam": False}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            update = self._adam if group["adam"] else self._muon
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update(parameter, parameter.grad, group)

    def _muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        step = orthogonal(gradient.lerp(momentum, group["momentum"]).flatten(1)).view_as(parameter)
        rows, columns = step.flatten(1).shape
        parameter.add_(step, alpha=-group["lr"] * ADAM_SIZE * max(rows, columns) ** 0.5)

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        (beta1, beta2), count = group["betas"], float(state["step"])
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].lerp_(gradient.square(), 1 - beta2)
        deviation = (state["square"] / (1 - beta2**count)).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["mean"], deviation, value=-group["lr"] / (1 - beta1**count))
