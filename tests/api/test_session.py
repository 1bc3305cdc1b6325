"""First set-up, signing in and out, and the cookie that carries it."""

from pathlib import Path

import httpx
import pytest

from commonview.security import Role
from tests.api.harness import BASE, PASSWORD, Harness, harness

pytestmark = pytest.mark.anyio


async def test_set_up_makes_the_first_accounts_once(tmp_path: Path) -> None:
    async with harness(tmp_path, roles=False) as made:
        client = await made.client()
        assert (await client.get("/api/setup")).json() == {"needed": True}
        link = made.security.setup_link(BASE)
        assert link is not None
        body = {
            "token": link.partition("token=")[2],
            "administrator": {"username": "admin", "password": PASSWORD, "display_name": "管理员"},
            "operator": {"username": "duty", "password": PASSWORD + "-2", "display_name": "On duty"},
        }
        wrong = await client.post("/api/setup", json={**body, "token": "x" * 43})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "setup_link_invalid")
        answer = await client.post("/api/setup", json=body)
        assert answer.status_code == 201
        assert {one["username"]: one["roles"] for one in answer.json()["items"]} == {
            "admin": ["security_admin", "system_admin"],
            "duty": ["operator"],
        }
        assert (await client.get("/api/setup")).json() == {"needed": False}
        again = await client.post("/api/setup", json=body)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "already_set_up")


async def test_the_session_cookie_is_for_the_server_alone(made: Harness) -> None:
    client = await made.client()
    answer = await client.post("/api/session", json={"username": "operator", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"commonview_session_{made.context.instance_id[:8]}=")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert "Secure" not in cookie
    token = client.cookies[made.context.cookie_name]
    assert token not in answer.text


async def test_behind_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    async with harness(tmp_path, public_url="https://video.example.org") as made:
        client = await made.client()
        answer = await client.post(
            "/api/session",
            json={"username": "operator", "password": PASSWORD},
            headers={"Origin": "https://video.example.org"},
        )
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_two_instances_on_one_host_do_not_share_a_cookie(tmp_path: Path) -> None:
    async with harness(tmp_path / "a", roles=False) as one, harness(tmp_path / "b", roles=False) as other:
        assert one.context.cookie_name != other.context.cookie_name


async def test_a_session_knows_its_account_and_rights(made: Harness) -> None:
    client = await made.signed_in(Role.AUDITOR)
    session = (await client.get("/api/session")).json()
    assert session["account"]["roles"] == ["auditor"]
    assert "audit.read" in session["actions"]
    assert "live.view" not in session["actions"]
    assert session["csrf_token"] == client.headers["X-CSRF-Token"]


async def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(made: Harness) -> None:
    client = await made.signed_in(Role.OPERATOR)
    thief = await made.client()
    thief.cookies.update(client.cookies)
    assert (await thief.get("/api/session")).status_code == 200
    assert (await client.delete("/api/session")).status_code == 204
    assert (await thief.get("/api/session")).status_code == 401
    assert (await client.get("/api/session")).status_code == 401


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(made: Harness) -> None:
    client = await made.client()
    answers = [
        (await client.post("/api/session", json={"username": name, "password": "wrong-wrong-wrong"})).json()
        for name in ("operator", "nobody")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["error"]["code"] == "sign_in_refused"


async def test_guessing_is_slowed_down_and_told_for_how_long(made: Harness) -> None:
    client = await made.client()

    async def guess() -> httpx.Response:
        return await client.post("/api/session", json={"username": "operator", "password": "wrong-guess"})

    answers = [await guess() for _ in range(12)]
    last = answers[-1]
    assert (last.status_code, last.json()["error"]["code"]) == (429, "too_many_attempts")
    assert int(last.headers["retry-after"]) == last.json()["error"]["params"]["retry_after_s"] > 0


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        ("", "198.51.100.7", "127.0.0.1"),
        ("192.0.2.0/24", "198.51.100.7", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1, 198.51.100.0/24", "203.0.113.1, 198.51.100.7", "203.0.113.1"),
        ("127.0.0.1", "203.0.113.1, nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("127.0.0.1, 198.51.100.0/24", "203.0.113.1, ::ffff:198.51.100.7", "203.0.113.1"),
    ],
)
async def test_only_a_trusted_proxy_is_believed_about_who_asks(
    tmp_path: Path, trusted: str, forwarded: str, expected: str
) -> None:
    async with harness(tmp_path, trusted_proxies=trusted) as made:
        client = await made.client()
        body = {"username": "operator", "password": PASSWORD}
        await client.post("/api/session", json=body, headers={"X-Forwarded-For": forwarded})
        operator = made.subject(Role.OPERATOR)  # a session of its own, from 127.0.0.2
        sessions = made.security.sessions(operator)
        assert {session.client_address for session in sessions} == {"127.0.0.2", expected}


async def test_a_refused_body_does_not_repeat_the_password(made: Harness) -> None:
    client = await made.client()
    answer = await client.post("/api/session", json={"username": ["x"], "password": {"a": "SECRET"}})
    assert answer.status_code == 422
    assert "SECRET" not in answer.text


async def test_one_time_codes_are_begun_confirmed_and_asked_for(made: Harness) -> None:
    import pyotp

    client = await made.signed_in(Role.OPERATOR)
    begun = (await client.post("/api/account/totp", json={"password": PASSWORD})).json()
    code = pyotp.TOTP(begun["secret"]).at(made.clock.now())
    assert (await client.post("/api/account/totp/confirm", json={"totp": code})).status_code == 204
    other = await made.client()
    answer = await other.post("/api/session", json={"username": "operator", "password": PASSWORD})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "totp_required")
    made.clock.advance(60)
    later = pyotp.TOTP(begun["secret"]).at(made.clock.now())
    body = {"username": "operator", "password": PASSWORD, "totp": later}
    assert (await other.post("/api/session", json=body)).status_code == 200


async def test_changing_the_password_ends_the_other_sessions(made: Harness) -> None:
    mine, other = await made.signed_in(Role.OPERATOR), await made.signed_in(Role.OPERATOR)
    body = {"current_password": PASSWORD, "new_password": "another-long-password"}
    assert (await mine.post("/api/account/password", json=body)).status_code == 204
    assert (await other.get("/api/session")).status_code == 401


async def test_roles_that_grant_and_use_cannot_meet_in_one_account(made: Harness) -> None:
    client = await made.signed_in(Role.SECURITY_ADMIN)
    body = {
        "username": "both",
        "display_name": "Both",
        "password": PASSWORD,
        "roles": ["operator", "supervisor"],
    }
    answer = await client.post("/api/accounts", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "conflicting_roles")


async def test_disabling_an_account_ends_its_sessions(made: Harness) -> None:
    admin, operator = await made.signed_in(Role.SECURITY_ADMIN), await made.signed_in(Role.OPERATOR)
    accounts = (await admin.get("/api/accounts")).json()["items"]
    operator_id = next(one["id"] for one in accounts if one["username"] == "operator")
    answer = await admin.patch(f"/api/accounts/{operator_id}", json={"disabled": True})
    assert answer.json()["disabled"] is True
    assert (await operator.get("/api/session")).status_code == 401
