"""Requests made from the OpenAPI document, sound and broken, against a server that really listens: no defect is met."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.server.running import running
from tests.support.service import PaintingService

ENDLESS = "/api/v1/events"  # a stream that ends with the server
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    with running(folder, PaintingService(folder / "data", folder / "outputs", side=64)) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def document(base: str) -> Any:
    return httpx2.get(f"{base}/openapi.json").json()


def test_the_document_tells_every_parameter(document: Any) -> None:
    body = document["components"]["schemas"]["JobIn"]["properties"]["request"]
    assert set(body["anyOf"][0]["properties"]) >= {"prompt", "steps", "sigmas"}
    assert len(document["paths"]) > 70


@pytest.mark.parametrize("cases", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_no_request_meets_a_defect(document: Any, base: str, cases: int) -> None:
    """60 cases x about 85 operations x sound and broken: 10,000.  The quick one takes turns between the two."""
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations() if result.ok().path != ENDLESS]
    assert len(operations) > 75
    bounded = settings(
        max_examples=cases, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    with requests.Session() as session:
        for number, operation in enumerate(operations):
            for mode in MODES if cases > 1 else MODES[number % 2 :][:1]:

                def check(case: Any) -> None:
                    answer = case.call(base_url=base, session=session, timeout=60)
                    assert answer.status_code < 500, (case.as_curl_command(), answer.text)
                    assert "Traceback" not in answer.text

                try:
                    bounded(given(case=operation.as_strategy(generation_mode=mode))(check))()
                except Unsatisfiable:  # nothing broken can be sent where nothing is taken
                    assert mode is GenerationMode.NEGATIVE
