"""Every call of the OpenAPI document, with requests that fit it and requests that do not: no 5xx, and every
answer is what the document says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.outside import Business, serving
from tests.e2e.processes import API_KEY, Server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# It has no end.
ENDLESS = r"/stream$"
EXAMPLES = 12


@pytest.mark.timeout(300)
def test_every_call_is_answered_as_documented(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        known = _something_to_find(server)
        document = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path_regex=ENDLESS)
        operations = sorted(_operations(document), key=_deletions_last)
        for operation in operations:
            for mode in GenerationMode:
                _call(operation, mode, known)
        assert len(operations) > 40
        assert server.is_ready()


def _something_to_find(server: Server) -> dict[str, Any]:
    """Path parameters that lead somewhere."""
    business = Business(server)
    integration_id = business.subscribe("http://127.0.0.1:1/hooks")
    business.publish("evt_known")
    delivery = business.deliveries()[0]
    return {
        "BusinessId": business.id,
        "IntegrationId": integration_id,
        "EventId": "evt_known",
        "DeliveryId": delivery["Id"],
    }


def _operations(document: Any) -> list[Any]:
    return [found.ok() for found in document.get_all_operations()]


def _deletions_last(operation: Any) -> tuple[bool, int]:
    """And of those the deepest first: what is gone cannot be called any more."""
    return operation.method.lower() == "delete", -operation.path.count("/")


def _call(operation: Any, mode: GenerationMode, known: dict[str, Any]) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), found=st.integers(0, 3))
    def call(case: Any, found: int) -> None:
        if found:
            case.path_parameters = {
                name: known.get(name, value) for name, value in case.path_parameters.items()
            }
        case.call_and_validate(headers={"Authorization": f"Token {API_KEY}"}, checks=CHECKS, timeout=20)

    try:
        call()
    except Unsatisfiable:
        # Nothing can be wrong with a request that has nothing in it.
        assert mode is GenerationMode.NEGATIVE
