"""Note and Date (GB/T 28181-2022 8.3)."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.date import read_date, write_date
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, parse_datagram
from commonview.wire.sip.note import Note, NoteVerdict, sign, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FROM = "<sip:34020000001320000001@3402000000>;tag=1"
TO = "<sip:34020000002000000001@3402000000>"


def message(body: bytes = b"<Notify/>") -> SipRequest:
    headers = Headers((("From", FROM), ("To", TO), ("Call-ID", "c1"), ("CSeq", "1 MESSAGE")))
    return SipRequest("MESSAGE", "sip:x@y", headers, body)


def signed(algorithm: str = "SM3") -> SipRequest:
    request = message()
    sign(request, "secret", NOW, algorithm)
    return request


def test_the_octets_are_from_to_call_id_date_secret_and_body() -> None:
    request = signed("SHA-256")
    octets = (FROM + TO + "c1" + "2026-01-01T08:00:00.000" + "secret").encode() + b"<Notify/>"
    expected = base64.b64encode(hashlib.sha256(octets).digest()).decode()
    assert request.headers.get("Note") == f'Digest nonce="{expected}",algorithm=SHA-256'


def test_the_sm3_note_is_the_golden_one() -> None:
    # Computed with `openssl dgst -sm3 -binary | base64`.
    assert (
        signed().headers.get("Note")
        == 'Digest nonce="gbwxocITlf0U5Xfju4T9m4DjRIXzVjc+FHZlvuZpJYI=",algorithm=SM3'
    )


@pytest.mark.parametrize("algorithm", ["SM3", "SHA-256", "MD5"])
def test_a_signed_request_is_valid_after_a_trip_over_the_wire(algorithm: str) -> None:
    arrived = parse_datagram(signed(algorithm).encode())
    assert isinstance(arrived, SipRequest)
    assert verify(arrived, "secret", NOW) is NoteVerdict.VALID
    assert verify(arrived, "other", NOW) is NoteVerdict.WRONG


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_every_spelling_of_the_field_is_understood(bare: bool, as_text: bool) -> None:
    request = message()
    request.headers.set("Date", write_date(NOW))
    sender, target = ("sip:34020000001320000001@3402000000", TO[1:-1]) if bare else (FROM, TO)
    digest = hashlib.new("sm3", f"{sender}{target}c1{write_date(NOW)}secret".encode() + request.body).digest()
    octets = digest.hex().encode() if as_text else digest
    request.headers.set("Note", Note(base64.b64encode(octets).decode()).encode())
    assert verify(request, "secret", NOW) is NoteVerdict.VALID


@pytest.mark.parametrize(
    ("name", "value"),
    [("From", TO), ("To", FROM), ("Call-ID", "c2"), ("Date", write_date(NOW + timedelta(seconds=1)))],
)
def test_whatever_is_changed_on_the_way_is_noticed(name: str, value: str) -> None:
    request = signed()
    request.headers.set(name, value)
    assert verify(request, "secret", NOW) is NoteVerdict.WRONG


def test_a_changed_body_is_noticed() -> None:
    request = signed()
    request.body = b"<Control/>"
    assert verify(request, "secret", NOW) is NoteVerdict.WRONG


def test_a_request_kept_for_later_is_stale() -> None:
    request = signed()
    for seconds, expected in ((600, NoteVerdict.VALID), (601, NoteVerdict.STALE), (-601, NoteVerdict.STALE)):
        assert verify(request, "secret", NOW + timedelta(seconds=seconds)) is expected


def test_a_request_without_note_says_so() -> None:
    assert verify(message(), "secret", NOW) is NoteVerdict.ABSENT


@pytest.mark.parametrize(
    "value", ["", "Digest", 'Digest nonce="a b",algorithm=SM3', 'Digest nonce="AAAA",algorithm=CRC']
)
def test_a_malformed_note_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        Note.parse(value)
    request = signed()
    request.headers.set("Note", value)
    assert verify(request, "secret", NOW) is NoteVerdict.MALFORMED


def test_a_note_without_a_readable_date_is_malformed() -> None:
    request = signed()
    request.headers.set("Date", "yesterday")
    assert verify(request, "secret", NOW) is NoteVerdict.MALFORMED
    request.headers.remove("Date")
    assert verify(request, "secret", NOW) is NoteVerdict.MALFORMED


@pytest.mark.parametrize("value", ["2026-01-01T08:00:00.000", "2026-01-01T08:00:00", "2026-01-01T00:00:00Z"])
def test_dates_are_beijing_time_unless_they_say_otherwise(value: str) -> None:
    assert read_date(value) == NOW


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_text_breaks_the_check(note: str, date: str) -> None:
    request = message()
    request.headers.set("Note", note.replace("\r", "").replace("\n", ""))
    request.headers.set("Date", date)
    assert verify(request, "secret", NOW) is not NoteVerdict.VALID
