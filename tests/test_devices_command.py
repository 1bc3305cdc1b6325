"""`commonview devices ...`: what it asks of the server and what it says."""

from typing import Any, cast

import pytest

from commonview.cli import main
from commonview.cli.devices import Server

DEVICE = "34020000001110000001"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    calls: list[tuple[str, str, Any]] = []
    answers: dict[str, Any] = {
        "/api/session": {"csrf_token": "t"},
        "/api/admission": {
            "applications": [
                {
                    "device_id": DEVICE,
                    "state": "waiting",
                    "address": "h:1",
                    "user_agent": "cam",
                    "attempts": 3,
                }
            ]
        },
        "/api/devices": {"items": [], "device_id": DEVICE, "password": "made for it"},
        f"/api/admission/{DEVICE}/approve": {"device_id": DEVICE, "password": None},
        f"/api/devices/{DEVICE}/password": {"device_id": DEVICE, "password": "another"},
        "/api/admission/rules": {"subject": "host", "value": "192.0.2.1", "ends_at": None, "id": "r1"},
    }

    def call(self: Server, method: str, path: str, body: Any = None) -> Any:
        calls.append((method, path, body))
        return answers.get(path)

    monkeypatch.setattr(Server, "call", call)
    monkeypatch.setenv("COMMONVIEW_PASSWORD", "x")
    return calls


@pytest.mark.parametrize(
    ("words", "path", "body", "said"),
    [
        (["list"], "/api/admission", None, "waiting"),
        (
            ["add", DEVICE, "--name", "gate", "--own-password"],
            "/api/devices",
            {"device_id": DEVICE, "name": "gate", "own_password": True},
            "made for it",
        ),
        (["approve", DEVICE], f"/api/admission/{DEVICE}/approve", {"own_password": False}, "may register"),
        (
            ["refuse", DEVICE, "--reason", "no"],
            f"/api/admission/{DEVICE}/refuse",
            {"reason": "no"},
            "refused",
        ),
        (["password", DEVICE], f"/api/devices/{DEVICE}/password", None, "another"),
        (
            ["ban", "host", "192.0.2.1", "--hours", "2"],
            "/api/admission/rules",
            {"subject": "host", "value": "192.0.2.1", "reason": "", "duration_s": 7200},
            "until lifted",
        ),
    ],
)
def test_each_verb_asks_the_api_and_signs_out(
    asked: list[tuple[str, str, Any]],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    path: str,
    body: Any,
    said: str,
) -> None:
    assert main(["devices", *words, "--user", "maintainer"]) == 0
    assert asked[0][1:] == ("/api/session", {"username": "maintainer", "password": "x"})
    assert cast(Any, body) in [call[2] for call in asked if call[1] == path]
    assert asked[-1][:2] == ("DELETE", "/api/session")
    assert said in capsys.readouterr().out


def test_an_address_that_is_no_web_address_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMONVIEW_PASSWORD", "x")
    assert main(["devices", "list", "--user", "u", "--url", "file:///etc/passwd"]) == 1
    assert "no http address" in capsys.readouterr().err
