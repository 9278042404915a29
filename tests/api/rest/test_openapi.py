"""The description at /openapi.json is true: requests made up from it get the answers that it tells of."""

from __future__ import annotations

from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from znoded.api.rest.openapi import DESCRIPTION

from .client import Rest

SCHEMA: Final = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS: Final = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}
CHECKED: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

SETTINGS: Final = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_it_is_a_description() -> None:
    SCHEMA.validate()


def test_it_is_served(rest: Rest) -> None:
    answer = rest.ask("GET", "/openapi.json")
    assert (answer.status, answer.json) == (200, DESCRIPTION)


@pytest.mark.parametrize("label", OPERATIONS)
def test_it_is_true_of_requests_as_it_describes_them(rest: Rest, top: str, label: str) -> None:
    # Made up paths and sessions are hardly ever there.
    session = rest.session()
    there = {"path": top[1:], "id": session}
    statuses = set()

    @given(OPERATIONS[label].as_strategy(generation_mode=GenerationMode.POSITIVE), st.booleans())
    @SETTINGS
    def ask(case: schemathesis.Case[Any], exists: bool) -> None:
        assume(case.query.get("view") != "events")  # they have no end
        if exists:
            case.path_parameters.update((key, there[key]) for key in case.path_parameters)
            case.query.update((key, session) for key in case.query if key == "session")
            if "POST /znodes" in label:  # made up parameters mostly exclude each other
                case.query = {"name": "a", "sequence": "true"}
        response = case.call(base_url=rest.base)
        case.validate_response(response, checks=CHECKED)
        statuses.add(response.status_code)

    ask()
    assert min(statuses) < 300


@pytest.mark.parametrize(
    "label", sorted(OPERATIONS.keys() - {"GET /openapi.json"})
)  # which has nothing to get wrong
def test_it_is_true_of_requests_that_break_it(rest: Rest, label: str) -> None:
    @given(OPERATIONS[label].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @SETTINGS
    def ask(case: schemathesis.Case[Any]) -> None:
        assume(case.query.get("view") != "events")
        case.validate_response(case.call(base_url=rest.base), checks=CHECKED)

    ask()
