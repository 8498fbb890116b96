"""The loop with a network that can be seen through: who shares a call, who joins, who leaves, whose error it is."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from inkwash.core.errors import Cancelled
from inkwash.generation.loop import Loop
from inkwash.generation.run import Denoise, Row
from inkwash.runtime.sharing import SharingCheck


class Glass:
    """Answers x / 2 + sigma + mean(context), and remembers the number of rows of each call.

    noisy: what a call of that many rows adds to every answer, as a kernel that is not batch-invariant would.
    """

    def __init__(self, noisy: dict[int, float] | None = None, poison: float | None = None) -> None:
        self.calls: list[int] = []
        self.noisy = noisy or {}
        self.poison = poison
        self.dtype = torch.float32
        self.spec = SimpleNamespace(unet="unet")

    def rows_for(self, pixels: int) -> int:
        return 99

    def denoise(
        self,
        x: Tensor,
        sigmas: list[float],
        context: Tensor,
        concat: Tensor | None,
        added: Tensor | None,
        noise_levels: list[int] | None,
    ) -> Tensor:
        if self.poison in sigmas:
            raise ValueError("poisoned")
        self.calls.append(len(x))
        level = torch.tensor(sigmas)[:, None, None, None]
        return x / 2 + level + context.mean(dim=(1, 2))[:, None, None, None] + self.noisy.get(len(x), 0.0)


def walk(
    model: Any, seed: int, steps: int = 4, rows: int = 2, tokens: int = 77, size: int = 8
) -> Generator[Denoise, list[Tensor], Tensor]:
    """A run of its own x, sigmas and texts."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, size, size, generator=generator)
    contexts = [torch.randn(tokens, 3, generator=generator) for _ in range(rows)]
    for step in range(steps):
        answers = yield Denoise(model, tuple(Row(x, float(steps - step + seed), context) for context in contexts))
        x = torch.stack(answers).mean(0)
    return x


def run_out(loop: Loop) -> dict[int, Any]:
    done = {}
    while len(loop):
        for finished in loop.step():
            done[finished.ticket] = finished.error or finished.value
    return done


def alone(seed: int, **options: int) -> Tensor:
    loop = Loop(strict=True)
    ticket = loop.add(walk(Glass(), seed, **options))
    return run_out(loop)[ticket]


def test_fast_mode_puts_every_run_into_one_call() -> None:
    model, loop = Glass(), Loop(strict=False)
    tickets = [loop.add(walk(model, seed)) for seed in range(3)]
    done = run_out(loop)
    assert model.calls == [6, 6, 6, 6]
    for seed, ticket in enumerate(tickets):
        assert torch.allclose(done[ticket], alone(seed), atol=1e-6)


def test_strict_mode_gives_every_picture_its_own_call() -> None:
    model, loop = Glass(), Loop(strict=True)
    tickets = [loop.add(walk(model, seed)) for seed in range(3)]
    done = run_out(loop)
    assert model.calls == [2] * 12
    for seed, ticket in enumerate(tickets):
        assert torch.equal(done[ticket], alone(seed))


def test_runs_join_and_leave_at_any_step() -> None:
    model, loop = Glass(), Loop(strict=False)
    first = loop.add(walk(model, 1, steps=5))
    loop.step()
    loop.step()
    second = loop.add(walk(model, 2, steps=2))
    done = run_out(loop)
    assert model.calls == [2, 2, 4, 4, 2]
    assert torch.allclose(done[first], alone(1, steps=5), atol=1e-6)
    assert torch.allclose(done[second], alone(2, steps=2), atol=1e-6)


def test_different_shapes_never_share() -> None:
    model, loop = Glass(), Loop(strict=False)
    loop.add(walk(model, 0, steps=1))
    loop.add(walk(model, 1, steps=1, size=16))
    run_out(loop)
    assert model.calls == [2, 2]


def test_texts_of_different_length_share_exactly() -> None:
    """Contexts are repeated to their common length, which leaves their mean (and any softmax average) as it was."""
    model, loop = Glass(), Loop(strict=False)
    short, long = loop.add(walk(model, 0, tokens=77 * 2)), loop.add(walk(model, 1, tokens=77 * 3))
    done = run_out(loop)
    assert model.calls == [4] * 4
    assert torch.allclose(done[short], alone(0, tokens=77 * 2), atol=1e-5)
    assert torch.allclose(done[long], alone(1, tokens=77 * 3), atol=1e-5)


def test_calls_are_no_larger_than_max_rows() -> None:
    model, loop = Glass(), Loop(strict=False, max_rows=5)
    for seed in range(5):
        loop.add(walk(model, seed, steps=1))
    run_out(loop)
    assert model.calls == [4, 4, 2]


def test_strict_mode_shares_once_the_check_has_seen_equal_rows() -> None:
    model, loop = Glass(), Loop(strict=True, sharing=SharingCheck())
    tickets = [loop.add(walk(model, seed, steps=8)) for seed in range(2)]
    done = run_out(loop)
    assert model.calls[:3] == [2, 2, 4]  # own calls, and the shared one beside them
    assert model.calls[-1] == 4  # trusted in the end
    for seed, ticket in enumerate(tickets):
        assert torch.equal(done[ticket], alone(seed, steps=8))


def test_strict_mode_never_shares_where_rows_differ() -> None:
    model, loop = Glass(noisy={4: 0.01, 8: 0.01}), Loop(strict=True, sharing=SharingCheck())
    tickets = [loop.add(walk(model, seed, steps=6)) for seed in range(4)]
    done = run_out(loop)
    assert model.calls[-4:] == [2, 2, 2, 2]
    for seed, ticket in enumerate(tickets):
        assert torch.equal(done[ticket], alone(seed, steps=6))


def test_cancel_leaves_the_others_alone() -> None:
    model, loop = Glass(), Loop(strict=False)
    kept, dropped = loop.add(walk(model, 0)), loop.add(walk(model, 1))
    loop.step()
    loop.cancel(dropped)
    loop.cancel(dropped)  # twice does no harm
    done = run_out(loop)
    assert set(done) == {kept}
    assert torch.allclose(done[kept], alone(0), atol=1e-6)


def test_an_error_in_a_shared_call_ends_only_the_run_that_caused_it() -> None:
    model, loop = Glass(poison=104.0), Loop(strict=False)
    good, bad = loop.add(walk(model, 0)), loop.add(walk(model, 100))
    done = run_out(loop)
    assert isinstance(done[bad], ValueError)
    assert torch.allclose(done[good], alone(0), atol=1e-6)


def test_an_error_inside_a_run_ends_only_that_run() -> None:
    def stubborn(model: Any) -> Generator[Denoise, list[Tensor], Tensor]:
        yield Denoise(model, (Row(torch.zeros(4, 8, 8), 1.0, torch.zeros(77, 3)),))
        raise Cancelled

    model, loop = Glass(), Loop(strict=False)
    good, bad = loop.add(walk(model, 0)), loop.add(stubborn(model))
    done = run_out(loop)
    assert isinstance(done[bad], Cancelled)
    assert torch.allclose(done[good], alone(0), atol=1e-6)


def test_a_run_that_asks_nothing_is_finished_at_once() -> None:
    def silent() -> Generator[Denoise, list[Tensor], int]:
        return 7
        yield

    loop = Loop(strict=True)
    ticket = loop.add(silent())
    assert [(finished.ticket, finished.value) for finished in loop.step()] == [(ticket, 7)]


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_strict_results_do_not_depend_on_the_company(count: int) -> None:
    """Every neighbourhood, sharing or not: the same bits."""
    model, loop = Glass(noisy={6: 0.01}), Loop(strict=True, sharing=SharingCheck(), max_rows=8)
    tickets = [loop.add(walk(model, seed, steps=6)) for seed in range(count)]
    done = run_out(loop)
    for seed, ticket in enumerate(tickets):
        assert torch.equal(done[ticket], alone(seed, steps=6))
