"""Walks the OpenAPI document: nothing is open but the reviewed list, nothing answers without a right."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from commonview.api.app import create_app
from commonview.security import ROLE_ACTIONS, Action, Role
from tests.api.harness import Harness

pytestmark = pytest.mark.anyio

# The reviewed list. A new line here needs a reason that stands review.
PUBLIC = {
    ("GET", "/api/health"),  # probes; says "ok" and nothing else
    ("GET", "/api/openapi.json"),  # the description of the API holds no data
    ("GET", "/api/setup"),  # the console must know whether to show set-up or sign-in
    ("POST", "/api/setup"),  # guarded by the one-time token
    ("POST", "/api/session"),  # signing in
    ("POST", "/api/device-upload/{token}"),  # a camera's pictures; unknown addresses are all alike
    ("PUT", "/api/device-upload/{token}"),  # the same, for cameras that PUT
    ("GET", "/metrics"),  # needs a token of its own; 404 as long as none is set
}

# Open to every signed-in account, because they show or change only what is one's own.
EVERYBODY = {
    ("GET", "/api/session"),
    ("DELETE", "/api/session"),
    ("POST", "/api/account/password"),
    ("POST", "/api/account/totp"),
    ("POST", "/api/account/totp/confirm"),
    ("DELETE", "/api/account/totp"),
    ("GET", "/api/grants"),
    ("DELETE", "/api/grants/{grant_id}"),
    ("GET", "/api/access-records"),
    ("GET", "/api/events"),
}

Operation = tuple[str, str]


def _operations() -> dict[Operation, dict[str, Any]]:
    document = create_app(None).openapi()
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


OPERATIONS = _operations()
GUARDED = sorted(set(OPERATIONS) - PUBLIC)
BY_ACTION = [
    (operation, Action(OPERATIONS[operation]["x-required-action"]))
    for operation in GUARDED
    if operation not in EVERYBODY
]
FILES = {("POST", "/api/imports")}
"""Their body is a file, with a bound of its own (test_bulk.py)."""

MUTATING = [operation for operation in sorted(OPERATIONS) if operation[0] != "GET"]


def _url(path: str) -> str:
    return re.sub(r"\{[a-z_]+\}", "34020000001320000001", path)


def test_the_document_the_consoles_client_is_made_from_is_current() -> None:
    kept = json.loads((Path(__file__).parents[2] / "web" / "openapi.json").read_text(encoding="utf-8"))
    now = json.loads(json.dumps(create_app(None).openapi()))
    kept["info"]["version"] = now["info"]["version"]
    assert kept == now, "run: make openapi"


def test_the_public_operations_are_exactly_the_reviewed_ones() -> None:
    assert {operation for operation, described in OPERATIONS.items() if described["security"] == []} == PUBLIC


def test_the_operations_for_everybody_are_exactly_the_reviewed_ones() -> None:
    assert {
        operation for operation in GUARDED if "x-required-action" not in OPERATIONS[operation]
    } == EVERYBODY


async def test_every_route_of_the_application_is_described(made: Harness) -> None:
    client = await made.client()
    served = (await client.get("/api/openapi.json")).json()["paths"]
    assert {(method.upper(), path) for path, item in served.items() for method in item} == set(OPERATIONS)


async def test_every_guarded_operation_answers_401_without_a_session(made: Harness) -> None:
    client = await made.client()
    answers = {}
    for method, path in GUARDED:
        answer = await client.request(method, _url(path), json={} if method != "GET" else None)
        answers[method, path] = (answer.status_code, answer.json()["error"]["code"])
    assert answers == dict.fromkeys(GUARDED, (401, "not_signed_in"))


async def test_every_guarded_operation_answers_401_with_an_invented_session(made: Harness) -> None:
    client = await made.client()
    client.cookies.set(made.context.cookie_name, "A" * 43)
    codes = {
        (method, path): (await client.request(method, _url(path), json={})).status_code
        for method, path in GUARDED
    }
    assert codes == dict.fromkeys(GUARDED, 401)


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_gets_403_from_every_operation_it_has_no_right_to(made: Harness, role: Role) -> None:
    client = await made.signed_in(role)
    lacking = [operation for operation, action in BY_ACTION if action not in ROLE_ACTIONS[role]]
    assert lacking
    answers = {}
    for method, path in lacking:
        answer = await client.request(method, _url(path), json={})
        answers[method, path] = (answer.status_code, answer.json()["error"]["code"])
    assert answers == dict.fromkeys(lacking, (403, "role_lacks_right"))


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_is_not_refused_what_it_has_a_right_to(made: Harness, role: Role) -> None:
    client = await made.signed_in(role)
    having = [operation for operation, action in BY_ACTION if action in ROLE_ACTIONS[role]]
    assert having
    for method, path in having:
        answer = await client.request(method, _url(path), json={} if method != "GET" else None)
        assert answer.status_code not in {401, 403, 500}, (method, path, answer.text)


async def test_every_changing_operation_without_the_csrf_token_is_refused(made: Harness) -> None:
    for role in Role:
        client = await made.signed_in(role)
        del client.headers["X-CSRF-Token"]
        for method, path in set(MUTATING) - PUBLIC:
            answer = await client.request(method, _url(path), json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_token_wrong")


async def test_the_csrf_token_of_another_session_is_refused(made: Harness) -> None:
    mine, other = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.SUPERVISOR)
    answer = await mine.delete("/api/session", headers={"X-CSRF-Token": other.headers["X-CSRF-Token"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_token_wrong")
    assert (await mine.get("/api/session")).status_code == 200


async def test_every_operation_refuses_a_page_of_another_origin(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    for method, path in OPERATIONS:
        for origin in ("https://elsewhere.example", "http://127.0.0.1:8001", "null"):
            answer = await client.request(method, _url(path), json={}, headers={"Origin": origin})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


async def test_the_own_origin_is_welcome(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    answer = await client.get("/api/session", headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 200


async def test_every_body_is_bounded(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    for method, path in sorted(set(MUTATING) - FILES):
        answer = await client.request(method, _url(path), content=b"{" + b" " * 70_000 + b"}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_every_body_refuses_fields_it_does_not_know(made: Harness) -> None:
    refused = set()
    for role in Role:
        client = await made.signed_in(role)
        for method, path in MUTATING:
            if "requestBody" not in OPERATIONS[method, path] or (method, path) in FILES:
                continue
            answer = await client.request(method, _url(path), json={"no_such_field": 1})
            if answer.status_code == 422 and "no_such_field" in answer.text:
                refused.add((method, path))
    bodies = {operation for operation in MUTATING if "requestBody" in OPERATIONS[operation]} - FILES
    assert bodies
    assert {operation: OPERATIONS[operation] for operation in bodies - refused} == {}


def test_every_request_schema_is_closed_and_every_text_in_it_is_bounded() -> None:
    document = create_app(None).openapi()
    schemas = document["components"]["schemas"]
    names = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for key, operation in OPERATIONS.items()
        if "requestBody" in operation and key not in FILES
    } | {"FirstAccount"}
    for name in names:
        assert schemas[name]["additionalProperties"] is False, name
        for field, described in schemas[name]["properties"].items():
            for variant in described.get("anyOf", [described]):
                if variant.get("type") == "string" and "format" not in variant | {"format": None}:
                    assert "maxLength" in variant, (name, field)


def test_no_answer_has_a_field_for_a_secret() -> None:
    schemas = create_app(None).openapi()["components"]["schemas"]
    # The password of a device is shown once, to whoever had it made.
    allowed = {("MadePasswordOut", "password"), ("SessionOut", "csrf_token"), ("TotpEnrolmentOut", "secret")}
    requests = {"SetupRequest", "FirstAccount", "SignInRequest", "PasswordChange", "TotpBegin", "TotpConfirm"}
    requests |= {"DeviceAdd", "Approval"}
    requests |= {"AccountCreate", "AccountUpdate", "DeviceUpdate", "SourceAsk", "SourceAdd", "SourceUpdate"}
    requests |= {"SuperiorAdd", "SuperiorUpdate"}
    found = {
        (name, field)
        for name, schema in schemas.items()
        for field in schema.get("properties", {})
        if re.search(r"password|secret|token|hash|_key", field) and name not in requests
    }
    told = {("DeviceOut", "has_own_password"), ("TreeDeviceOut", "has_own_password")}
    told |= {("SourceOut", "has_password"), ("SuperiorOut", "has_password")}
    assert found - told == allowed
