"""The description of the server is true: whatever is asked, the answer is one that it describes."""

# ruff: noqa: E402 - extras are asked for first
from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")
schemathesis = pytest.importorskip("schemathesis", reason="needs: pip install 'fullband[dev]'")

from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fullband.web.access import Access
from fullband.web.app import create_app
from served import serving

TOKEN = {"Authorization": "Bearer secret"}


schema = schemathesis.openapi.from_dict(create_app().openapi())


@pytest.fixture(scope="module")
def place():
    """Of a server."""
    with serving(Access(token="secret"), stored_jobs=1000) as (port, _):
        yield f"http://127.0.0.1:{port}"


@schema.parametrize()
@settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case, place):
    # A body that fits its description need not be audio.
    unfit = [positive_data_acceptance] if case.path == "/v1/enhance" else []
    case.call_and_validate(base_url=place, headers=TOKEN, excluded_checks=unfit)


def test_every_answer_is_described_and_every_refusal_is_a_problem():
    app = create_app()
    assert (app.docs_url, app.redoc_url) == (None, None)  # pages that load from elsewhere
    for path, operations in app.openapi()["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                assert answer["description"], (path, status)
                if int(status) >= 400:
                    told = answer["content"]["application/json"]["schema"]
                    assert told == {"$ref": "#/components/schemas/Problem"}
