"""The signing side of tickets: its bytes are the ones the Rust side verifies."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from commonview.media import InvalidMediaArgument, Ticket, ViewerProtocol, tickets

GOLDEN = Path(__file__).parents[2] / "crates" / "media" / "testdata" / "ticket.txt"
NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_795_000_000_000)


def ticket(**changes: object) -> Ticket:
    fields: dict[str, object] = {
        "stream_id": "stream-1",
        "access_id": "access-1",
        "grant_id": "grant-1",
        "protocol": ViewerProtocol.WEBSOCKET,
        "start_by": NOW + timedelta(seconds=30),
        "end_by": NOW + timedelta(seconds=600),
    }
    return Ticket(**(fields | changes))  # type: ignore[arg-type]


def test_the_bytes_are_those_the_rust_side_is_tested_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_bytes", lambda count: b"\x09" * count)
    assert tickets.sign(b"\x07" * 32, ticket()) == GOLDEN.read_text().strip()


def test_the_bytes_of_a_ticket_for_one_address_are_those_of_the_rust_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("secrets.token_bytes", lambda count: b"\x09" * count)
    bound = tickets.sign(b"\x07" * 32, ticket(peers=ip_network("192.0.2.7")))
    assert bound == GOLDEN.with_name("ticket_bound.txt").read_text().strip()


def test_two_signatures_of_one_ticket_differ_because_the_nonce_does() -> None:
    assert tickets.sign(b"k" * 32, ticket()) != tickets.sign(b"k" * 32, ticket())


def test_the_signature_covers_everything_before_it() -> None:
    signed = tickets.sign(b"k" * 32, ticket())
    data = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
    assert hmac.digest(b"k" * 32, data[:-32], hashlib.sha256) == data[-32:]


@pytest.mark.parametrize("value", ["", "x" * 129, "a/b", "a b", "ä", "a\n", "a%20"])
@pytest.mark.parametrize("name", ["stream_id", "access_id", "grant_id"])
def test_an_id_that_does_not_fit_the_format_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidMediaArgument, match=name):
        tickets.sign(b"k" * 32, ticket(**{name: value}))


def test_a_short_key_and_a_naive_time_are_refused() -> None:
    with pytest.raises(InvalidMediaArgument, match="key"):
        tickets.sign(b"k" * 31, ticket())
    with pytest.raises(InvalidMediaArgument, match="time zone"):
        tickets.sign(b"k" * 32, ticket(end_by=datetime(2026, 1, 1)))  # noqa: DTZ001 - that is the point


def test_a_path_carries_stream_and_ticket() -> None:
    assert tickets.live_path("s1", "abc") == "/live/s1.mp4?ticket=abc"
