"""Whatever is sent to whichever operation, nothing fails inside: it is refused, or it is taken."""

import re
from typing import Any

import httpx
import pytest

from commonview.api.app import create_app
from commonview.security import Role
from tests.api.harness import Harness
from tests.api.network_room import DEVICE_ID

pytestmark = pytest.mark.anyio

DOCUMENT: dict[str, Any] = create_app(None).openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]

HOSTILE_TEXTS = [
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "\u202e" * 5,
    "x" * 60_000,
    "' OR 1=1 --",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "𠮷" * 40,
    "${jndi:ldap://x}",
    "%s%n%d",
    "2030-01-01T00:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]
HOSTILE_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    [],
    [[[]]],
    {},
    {"$ne": None},
    ["a"] * 500,
]

# One account that may do it, for every operation with a body.
WHO = {
    "/api/accounts": Role.SECURITY_ADMIN,
    "/api/accounts/{account_id}": Role.SECURITY_ADMIN,
    "/api/purposes": Role.SUPERVISOR,
    "/api/purposes/{purpose_id}": Role.SUPERVISOR,
    "/api/devices/{device_id}": Role.MAINTAINER,
    "/api/devices/{device_id}/quirks": Role.MAINTAINER,
    "/api/channels/{channel_id}": Role.MAINTAINER,
    "/api/groups": Role.MAINTAINER,
    "/api/devices": Role.MAINTAINER,
    "/api/admission/{device_id}/approve": Role.MAINTAINER,
    "/api/admission/{device_id}/refuse": Role.MAINTAINER,
    "/api/admission/rules": Role.MAINTAINER,
    "/api/admission/lockouts/lift": Role.MAINTAINER,
    "/api/groups/{group_id}": Role.MAINTAINER,
    "/api/groups/{group_id}/channels": Role.MAINTAINER,
}


def _bodies() -> list[tuple[str, str, str]]:
    return [
        (method, path, operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]


def _sample(schema: dict[str, Any]) -> Any:
    """A value that a schema accepts, so that one field at a time can be made hostile."""
    schema = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)
    if "$ref" in schema:
        return _sample(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: _sample(one) for name, one in schema["properties"].items()}
    if kind == "array":
        return [_sample(schema["items"])]
    if kind == "integer":
        return schema.get("minimum", 1)
    if kind == "boolean":
        return False
    return "2030-01-01T00:00:00Z" if schema.get("format") == "date-time" else "long-enough-text"


async def _answers_well(client: httpx.AsyncClient, method: str, url: str, **more: Any) -> None:
    answer = await client.request(method, url, **more)
    assert answer.status_code < 500, (method, url, str(more)[:200], answer.text)
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"code", "message", "params"}


def _encoded(body: Any) -> bytes:
    # Written by hand: httpx refuses lone surrogates and infinities, an attacker does not.
    import json

    return json.dumps(body).encode()


@pytest.mark.parametrize(("method", "path", "reference"), _bodies())
async def test_no_value_of_any_field_breaks_anything(
    made: Harness, method: str, path: str, reference: str
) -> None:
    role = WHO.get(path, Role.OPERATOR)
    if path in {"/api/session", "/api/setup"}:
        client = await made.client()
    else:
        client = await made.signed_in(role)
    url = re.sub(r"\{[a-z_]+\}", DEVICE_ID, path)
    good = _sample(SCHEMAS[reference.rpartition("/")[2]])
    headers = {"Content-Type": "application/json"}
    for name in good:
        for value in [*HOSTILE_TEXTS, *HOSTILE_VALUES]:
            content = _encoded({**good, name: value})
            await _answers_well(client, method.upper(), url, content=content, headers=headers)
    for content in (b"NaN", b"Infinity", b"[" * 30_000, b'{"a":' * 9_000, b"\x00" * 9, b'"\\ud800"'):
        await _answers_well(client, method.upper(), url, content=content, headers=headers)


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if "{" in path])
async def test_no_id_in_a_path_breaks_anything(made: Harness, path: str) -> None:
    for role in (Role.OPERATOR, Role.SECURITY_ADMIN, Role.SUPERVISOR, Role.MAINTAINER):
        client = await made.signed_in(role)
        for text in ("%00", "%ff%fe", "..%2f..%2fetc", "%ed%a0%80", "a" * 4000, "%27%20OR%201", "共视"):
            url = re.sub(r"\{[a-z_]+\}", text, path)
            for method in DOCUMENT["paths"][path]:
                await _answers_well(client, method.upper(), url, params={"reason": "x" * 100})


async def test_no_query_breaks_anything(made: Harness) -> None:
    for role in (Role.AUDITOR, Role.OPERATOR):
        client = await made.signed_in(role)
        for path in ("/api/grants", "/api/access-records", "/api/audit"):
            for name in ("limit", "before", "account_id", "channel_id", "grant_id", "active", "nonsense"):
                for text in ("", "-1", "0", "1e9", str(2**70), "\x00", "a" * 5000, "true", "'"):
                    await _answers_well(client, "GET", path, params={name: text})
