"""What holds for every request: headers, bounds, error shape, and the console's files."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from commonview.api import middleware
from commonview.security import Role
from tests.api.harness import Harness
from tests.api.network_room import DEVICE_ID

pytestmark = pytest.mark.anyio


async def test_every_answer_carries_the_security_headers(made: Harness) -> None:
    client = await made.client()
    for path in ("/api/health", "/api/tree", "/api/nothing", "/", "/assets/nothing.js"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "default-src 'self'" in headers["content-security-policy"]


async def test_the_page_may_connect_to_the_video_outlet_and_nowhere_else(made: Harness) -> None:
    client = await made.client()
    policy = (await client.get("/api/health")).headers["content-security-policy"]
    [connect] = [part for part in policy.split("; ") if part.startswith("connect-src")]
    assert connect.split() == ["connect-src", "'self'", "ws://127.0.0.1:8001", "http://127.0.0.1:8001"]


async def test_a_hostile_host_header_does_not_reach_the_policy(made: Harness) -> None:
    client = await made.client()
    for host in (b"a;script-src *", b"evil.example/x", b"a b", b"x\xe9", b"a:1:2"):
        answer = await client.get("/api/health", headers=[(b"Host", host)])
        assert "http://127.0.0.1:8001" in answer.headers["content-security-policy"]


async def test_answers_of_the_api_are_not_stored(made: Harness) -> None:
    client = await made.client()
    assert (await client.get("/api/health")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("PUT", "/api/session", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
    ],
)
async def test_unknown_operations_are_refused_in_the_shape_of_errors(
    made: Harness, method: str, path: str, status: int, code: str
) -> None:
    answer = await (await made.client()).request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b"1" * 5000, b'{"a":' * 2000])
async def test_bodies_that_are_not_what_they_should_be_are_refused(made: Harness, body: bytes) -> None:
    client = await made.client()
    answer = await client.post("/api/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert set(answer.json()["error"]) == {"code", "message", "params"}


async def test_a_form_cannot_be_sent_where_json_is_expected(made: Harness) -> None:
    answer = await (await made.client()).post("/api/session", data={"username": "a", "password": "b"})
    assert answer.status_code == 422


async def test_a_body_without_announced_length_is_bounded_too(made: Harness) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024

    answer = await (await made.client()).post("/api/session", content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert made.app.state.gate_counters.body_too_large == 1


async def test_a_body_that_never_comes_is_given_up(made: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_TIMEOUT_S", 0.01)
    sent = []

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/session",
        "raw_path": b"/api/session",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-length", b"10")],
        "client": ("127.0.0.1", 1),
    }
    await made.app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert made.app.state.gate_counters.body_too_slow == 1


async def test_an_internal_error_is_logged_and_counted_but_not_shown(
    made: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("inside story")

    monkeypatch.setattr(made.network, "tree", broken)
    client = await made.signed_in(Role.OPERATOR)
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/api/tree")
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {
            "code": "internal_error",
            "message": "something failed inside; the log says what",
            "params": {},
        }
    }
    assert "ZeroDivisionError" in caplog.text
    assert made.app.state.gate_counters.internal_errors == 1


async def test_the_console_is_served_with_its_views_and_nothing_beside_it(made: Harness) -> None:
    folder = made.data.root.parent / "console"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>共视</title>")
    (folder / "assets" / "app-abc123.js").write_text("1")
    (folder.parent / "secret.txt").write_text("SECRET")
    client = await made.client()
    index = await client.get("/")
    assert (index.status_code, index.headers["cache-control"]) == (200, "no-cache")
    assert "共视" in index.text
    assert (await client.get("/devices")).text == index.text
    asset = await client.get("/assets/app-abc123.js")
    assert "immutable" in asset.headers["cache-control"]
    assert (await client.get("/assets/absent.js")).status_code == 404
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "//secret.txt"):
        assert "SECRET" not in (await client.get(path)).text
    assert (await client.post("/devices")).status_code == 405


async def test_without_a_built_console_the_page_says_how_to_build_it(made: Harness) -> None:
    answer = await (await made.client()).get("/")
    assert answer.status_code == 404
    assert "npm --prefix web run build" in answer.text


async def test_a_change_to_a_device_is_in_the_audit_log_without_its_password(made: Harness) -> None:
    client = await made.signed_in(Role.MAINTAINER)
    body = {"name": "South gate", "password": "device-SECRET", "clear": ["media_transport"]}
    answer = await client.patch(f"/api/devices/{DEVICE_ID}", json=body)
    assert (answer.status_code, answer.json()["name"]) == (200, "South gate")
    assert made.network.updates[0]["password"] == "device-SECRET"
    entries = made.security.audit_entries(made.subject(Role.AUDITOR))
    [entry] = [one for one in entries if one.action == "device.update"]
    assert (entry.resource, entry.actor_name) == (f"device/{DEVICE_ID}", "maintainer")
    assert entry.detail["fields"] == "-media_transport,name,password"
    assert "SECRET" not in repr(entries)


async def test_the_system_page_shows_every_counter_group_and_the_audit_log(made: Harness) -> None:
    client = await made.signed_in(Role.SYSTEM_ADMIN)
    system = (await client.get("/api/system")).json()
    assert system["audit"]["state"] == "ok"
    assert system["audit"]["entries"] > 0
    assert system["counters"]["bus"] == {"dropped": 0}
    assert system["instance"]["sip_address"] == "127.0.0.1:5060"
