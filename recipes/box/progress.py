"""How every network here is trained: workers that share weights, saved state, an average of the weights, a log.

On a CPU each worker is a process with one thread that draws its own batches and updates weights in shared memory
(Hogwild, arXiv:1106.5730, with the update itself locked).  Two such workers are faster than two threads, and one is not
held up when other programs take the other's core.  A GPU needs one worker.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event, Lock
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import multiprocessing as mp
from torch.nn.attention import SDPBackend, sdpa_kernel

SAVE_EVERY = 150.0  # seconds
LOG_EVERY = 50  # steps
WARM_UP = 200  # steps
COOL_DOWN = 0.25  # of a call's minutes, its last, in which learning rates fall to nothing

LossOf = Callable[[int], Tensor]
"""One training loss with its graph; the argument is the number of pictures seen so far."""


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class Training:
    """Everything that lives between steps; all tensors are shared by the workers."""

    name: str
    folder: Path
    module: nn.Module
    optimizer: torch.optim.Optimizer
    decay: float  # of the average
    batch: int
    average: dict[str, Tensor] = field(default_factory=dict)
    counters: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.int64))  # steps, pictures

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.pt"

    def load(self) -> None:
        """Continue from the saved state, if there is one."""
        if (saved := load_state(self.path)) is not None:
            self.module.load_state_dict(saved["module"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.average, self.counters = saved["average"], saved["counters"].cpu()
        else:
            self.average = {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def save(self) -> None:
        state = {"module": self.module.state_dict(), "average": self.average, "counters": self.counters}
        save_state(state | {"optimizer": self.optimizer.state_dict()}, self.path)

    def update(self, rates: list[float], share: float) -> None:
        """One optimizer step from the gradients at hand, warmed up, then the average.  share: of the rates, 0..1."""
        steps = int(self.counters[0])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(share, (steps + 1) / WARM_UP)
        self.optimizer.step()
        self.counters += torch.tensor([1, self.batch])
        keep = min(self.decay, (1 + steps) / (10 + steps))
        now = self.module.state_dict()
        names = [name for name, value in self.average.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in names], [now[n].detach() for n in names], 1 - keep)

    def share(self) -> None:
        """Move everything to shared memory, optimizer state included, which is created here if still missing."""
        self.module.share_memory()
        if not self.optimizer.state:
            for parameter in self.module.parameters():
                parameter.grad = torch.zeros_like(parameter)
            for group in self.optimizer.param_groups:
                group["lr"] = 0.0
            self.optimizer.step()
            self.optimizer.zero_grad()
        tensors = [t for entry in self.optimizer.state.values() for t in entry.values() if isinstance(t, Tensor)]
        for tensor in [*tensors, *self.average.values(), self.counters]:
            tensor.share_memory_()  # type: ignore[no-untyped-call]


def train(training: Training, workers: int, minutes: float, work: Callable[..., None], *arguments: object) -> None:
    """Run ``work(Worker, *arguments)`` in each worker until the minutes are over or the process is asked to end.

    The state is saved at the end.
    """
    training.folder.mkdir(parents=True, exist_ok=True)
    training.load()
    end = time.time() + minutes * 60
    context = mp.get_context("spawn")
    stop = context.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if workers == 1:
        work(Worker(0, training, None, stop, end, minutes), *arguments)
    else:
        mp.set_sharing_strategy("file_system")  # type: ignore[no-untyped-call]
        training.share()
        lock = context.Lock()
        processes = [
            context.Process(
                target=_start, args=(work, Worker(index, training, lock, stop, end, minutes), *arguments), daemon=True
            )
            for index in range(workers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise RuntimeError(f"a worker of '{training.name}' failed: its traceback stands above, nothing was saved")
    training.save()


def _start(work: Callable[..., None], worker: Worker, *arguments: object) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process, which stops the others
    work(worker, *arguments)


@dataclass
class Worker:
    """One of the processes that train; the first also logs and saves."""

    index: int
    training: Training
    lock: Lock | None
    stop: Event
    end: float  # time.time() at which to stop
    minutes: float  # how long this call trains in all

    def run(self, loss_of: LossOf, rates: list[float], report: Callable[[], dict[str, float]] | None = None) -> None:
        """Step until the time is over.  ``report`` adds figures to the log when the state is saved."""
        training, losses, saved = self.training, [], time.time()
        parameters = list(training.module.parameters())
        log = Log(training.folder / f"{training.name}.jsonl")
        parent = os.getppid()
        while time.time() < self.end and not self.stop.is_set():
            if os.getppid() != parent:
                return  # a killed parent ends its workers
            with short_attention():
                loss = loss_of(int(training.counters[1]))
            training.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            share = min(1.0, (self.end - time.time()) / (60 * COOL_DOWN * self.minutes))
            with self.lock or nullcontext():
                training.update(rates, max(share, 0.0))
            losses.append(loss.item())
            if len(losses) == LOG_EVERY:
                steps, pictures = training.counters.tolist()
                log.write({"worker": self.index, "step": steps, "seen": pictures, "loss": round(mean(losses), 5)})
                losses = []
            if self.index == 0 and time.time() - saved > SAVE_EVERY:
                saved = time.time()
                training.save()
                if report:
                    log.write({"step": int(training.counters[0])} | report())


def short_attention() -> AbstractContextManager[None]:
    """On a CPU: attention in plain products, whose backward pass is several times faster for 77 tokens."""
    return sdpa_kernel(SDPBackend.MATH) if device().type == "cpu" else nullcontext()


def save_state(state: dict[str, object], path: Path) -> None:
    """Write whole or not at all: a killed run leaves the previous state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_state(path: Path) -> dict[str, Any] | None:
    return torch.load(path, map_location=device(), weights_only=True) if path.exists() else None


class Log:
    """One line of JSON a record, appended; also printed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: dict[str, float]) -> None:
        line = json.dumps({"clock": time.strftime("%H:%M:%S")} | record)
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read_log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def to_pixels(pictures: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> float (B, 3, H, W) in -1..1."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()
