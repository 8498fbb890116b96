"""Prometheus' text format, written by hand: two families of our own and what the service knows anyway."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkwash.jobs.serving import System

BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, str, int]  # method, route, status


@dataclass
class Metrics:
    """Requests by method, route and status, and how long they took until the first byte."""

    requests: dict[Labels, int] = field(default_factory=lambda: defaultdict(int))
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self.requests[method, route, status] += 1
            self.seconds += seconds
            for place, bound in enumerate(BUCKETS):
                self.buckets[place] += seconds <= bound

    def text(self, system: System, ready: bool) -> str:
        with self._lock:
            return "\n".join([*self._own(), *_service(system, ready), ""])

    def _own(self) -> Iterator[str]:
        yield "# TYPE inkwash_http_requests_total counter"
        for (method, route, status), count in sorted(self.requests.items()):
            yield f'inkwash_http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
        yield "# HELP inkwash_http_first_byte_seconds Time until the first byte of the answer."
        yield "# TYPE inkwash_http_first_byte_seconds histogram"
        for bound, count in zip(BUCKETS, self.buckets, strict=True):
            yield f'inkwash_http_first_byte_seconds_bucket{{le="{bound}"}} {count}'
        total = sum(self.requests.values())
        yield f'inkwash_http_first_byte_seconds_bucket{{le="+Inf"}} {total}'
        yield f"inkwash_http_first_byte_seconds_sum {self.seconds:.6f}"
        yield f"inkwash_http_first_byte_seconds_count {total}"


def _service(system: System, ready: bool) -> Iterator[str]:
    gauges: tuple[tuple[str, str, float | None], ...] = (
        ("inkwash_worker_up", "gauge", int(ready)),
        ("inkwash_worker_restarts_total", "counter", system.worker.restarts),
        ("inkwash_worker_memory_bytes", "gauge", system.worker.memory),
        ("inkwash_worker_step_seconds", "gauge", system.worker.seconds_per_step),
        ("inkwash_jobs_queued", "gauge", system.queued),
        ("inkwash_jobs_running", "gauge", system.running),
        ("inkwash_memory_free_bytes", "gauge", system.memory_free),
        ("inkwash_server_memory_bytes", "gauge", system.memory_process),
        ("inkwash_uptime_seconds", "counter", system.uptime),
    )
    for name, kind, value in gauges:
        if value is not None:
            yield f"# TYPE {name} {kind}"
            yield f"{name} {value:.10g}"


@dataclass
class Counting:
    """The outermost layer: counts every answer, refused ones too."""

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", None) or "refused"  # never what a stranger typed
                self.metrics.count(_method(scope), route, message["status"], perf_counter() - start)
            await send(message)

        await self.app(scope, receive, sending)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"} else "other"
