"""For those who watch the service."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from tests.server.conftest import context_of
from tests.support.service import PaintingService

from inkwash.server.answers import Json
from inkwash.server.options import Options
from inkwash.server.preferences import Preferences


def test_health_asks_nobody(client: TestClient, service: PaintingService) -> None:
    service.database.close()
    assert client.get("/health").json() == {"status": "ok"}


def test_ready_means_the_worker_is_up(client: TestClient, service: PaintingService) -> None:
    assert client.get("/ready").status_code == 200
    service.up = False
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    service.up = True
    context_of(client).closing.set()
    assert client.get("/ready").status_code == 503


def test_metrics_are_prometheus_text(client: TestClient) -> None:
    client.get("/api/v1/jobs/some-id-that-a-stranger-typed")
    client.get('/nothing"here')
    client.request("BREW", "/health")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in lines:
        assert re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{([a-z]+=\"[^\"\\]*\",?)+\})? [0-9.e+-]+", line), line
    assert 'inkwash_http_requests_total{method="GET",route="/api/v1/jobs/{job}",status="404"} 1' in lines
    assert "stranger" not in answer.text
    assert "BREW" not in answer.text
    assert "inkwash_worker_up 1" in lines
    assert "inkwash_jobs_queued 0" in lines
    buckets = [int(line.split()[-1]) for line in lines if "_bucket" in line]
    assert buckets == sorted(buckets)


def test_metrics_can_be_switched_off(opened: Any) -> None:
    assert opened(metrics=False).get("/metrics").status_code == 404


def test_answers_can_always_be_encoded() -> None:
    body = Json({"text": "\ud800", "numbers": [math.inf, math.nan, 1.5], "nested": {"猫": -math.inf}}).body
    assert body == '{"text":"?","numbers":[null,null,1.5],"nested":{"猫":null}}'.encode()


def test_what_was_set_outlives_a_restart_and_damage(tmp_path: Path) -> None:
    options, preferences = tmp_path / "options.json", tmp_path / "preferences.json"
    Options(options).set("ann", {"tiling": True, "unknown": 1})
    Preferences(preferences).change({"pattern": "[seed]"})
    assert Options(options).of("ann")["tiling"] is True
    assert Options(options).of("bob")["tiling"] is False
    assert Preferences(preferences).value("pattern", "") == "[seed]"
    for text in ("{", "[]", '{"ann": 3}', "null"):
        options.write_text(text)
        preferences.write_text(text)
        assert Options(options).of("ann")["tiling"] is False
        assert Preferences(preferences).value("pattern", "x") == "x"
