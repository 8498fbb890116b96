"""Requests made from the OpenAPI document, sound and broken: none may meet a defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from tests.support.service import PaintingService

from inkwash.core.limits import Limits
from inkwash.core.settings import Settings
from inkwash.server.app import create_app, open_context

# Streams that end with the server would hold the test for ever.
ENDLESS = {"/api/v1/events"}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    service = PaintingService(folder / "data", folder / "outputs")
    service.start()
    here = Settings(folder, folder / "outputs", folder / "data", limits=Limits(side=64, batch_size=2, batch_count=2))
    yield create_app(open_context(here, service))
    service.stop()


def test_the_document_tells_every_parameter(application: Any) -> None:
    document = application.openapi()
    body = document["components"]["schemas"]["JobIn"]["properties"]["request"]
    assert "嗯" not in str(body)
    assert set(body["anyOf"][0]["properties"]) >= {"prompt", "steps", "sigmas"}
    assert len(document["paths"]) > 70


@pytest.mark.parametrize("cases", [4, pytest.param(120, marks=pytest.mark.slow)])
def test_no_request_meets_a_defect(application: Any, cases: int) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", application)
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().path not in ENDLESS]
    assert len(operations) > 75
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(max_examples=cases, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck), phases=[Phase.generate])  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                answer = case.call()
                assert answer.status_code < 500, (case.as_curl_command(), answer.text)
                assert "Traceback" not in answer.text

            try:
                check()
            except Exception as error:
                if "Unsatisfiable" not in type(error).__name__:
                    raise
