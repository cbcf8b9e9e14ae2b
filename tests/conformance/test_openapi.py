"""The server's own OpenAPI document, held to by schemathesis: no failures of ours, no status and no form of an answer
that it does not tell of."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving import Server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_keeps_to_the_document(server: Server, mode: GenerationMode) -> None:
    """By requests that the document allows, and by some that it does not. `schemathesis.pytest` cannot do it: its
    fixtures (4.32) need a field of pytest's that 9.2 has no more."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and "requestBody" not in operation.definition.raw:
            continue  # there is nothing that could be wrong

        @settings(max_examples=25, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(mode))
        def keeps(case: Case) -> None:
            case.call_and_validate(checks=CHECKS)

        keeps()
