"""Note and Date: a keyed digest over what a request says, hop by hop (GB/T 28181-2022 8.3). Pure.

    Date: 2026-01-01T08:00:00.000
    Note: Digest nonce="<base64 of the digest>",algorithm=SM3

The digest is taken over these octets, one after the other with nothing between them: the values of From,
To, Call-ID and Date as they stand in the message after the colon and white space, the shared secret, the
body. The clause names the fields and not how much of From and To is meant, nor whether the digest goes into
base64 as octets or as hexadecimal text, and both spellings of both are in the field: we write whole values
and octets, and read all four.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.wire.sip.date import read_date, write_date
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.uri import NameAddr

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.wire.sip.message import SipRequest

WINDOW_S: Final = 600
"""How far Date may be from our clock: 10 minutes are the usual start value, devices keep time badly."""

_HASHES: Final = {"SM3": "sm3", "SHA-256": "sha256", "SHA256": "sha256", "MD5": "md5"}
_NOTE: Final = re.compile(
    r'[ \t]*Digest[ \t]+nonce[ \t]*=[ \t]*"([A-Za-z0-9+/=]{4,128})"[ \t]*,'
    r'[ \t]*algorithm[ \t]*=[ \t]*"?([A-Za-z0-9-]{1,16})"?[ \t]*',
    re.IGNORECASE,
)


class NoteVerdict(enum.Enum):
    """What `verify` found."""

    VALID = "valid"
    ABSENT = "absent"
    MALFORMED = "malformed"
    WRONG = "wrong"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Note:
    """The field. ``nonce`` is base64 text."""

    nonce: str
    algorithm: str = "SM3"

    @staticmethod
    def parse(value: str) -> Note:
        """Parse a Note value. Raises SipParseError(400), also for an algorithm we cannot do."""
        found = _NOTE.fullmatch(value)
        if found is None:
            raise SipParseError(400, "malformed Note")
        algorithm = found.group(2).upper()
        if algorithm not in _HASHES:
            raise SipParseError(400, "unsupported Note algorithm")
        return Note(found.group(1), algorithm)

    def encode(self) -> str:
        """The header value."""
        return f'Digest nonce="{self.nonce}",algorithm={self.algorithm}'


def _digest(algorithm: str, sender: str, target: str, request: SipRequest, secret: str) -> bytes:
    first = request.headers.first
    head = f"{sender}{target}{first.get('Call-ID', '')}{first.get('Date', '')}{secret}"
    return hashlib.new(
        _HASHES[algorithm], head.encode("utf-8", "surrogateescape") + request.body, usedforsecurity=False
    ).digest()


def sign(request: SipRequest, secret: str, now: datetime, algorithm: str = "SM3") -> None:
    """Put Date and Note on a request that has its From tag, Call-ID and body already."""
    first = request.headers.first
    request.headers.set("Date", write_date(now))
    digest = _digest(algorithm, first["From"], first["To"], request, secret)
    request.headers.set("Note", Note(base64.b64encode(digest).decode("ascii"), algorithm).encode())


def verify(request: SipRequest, secret: str, now: datetime, *, window_s: float = WINDOW_S) -> NoteVerdict:
    """Check Note and Date of a request. Compares in constant time."""
    first = request.headers.first
    value, date = first.get("Note"), first.get("Date")
    if value is None:
        return NoteVerdict.ABSENT
    moment = read_date(date)
    try:
        note = Note.parse(value)
    except SipParseError:
        return NoteVerdict.MALFORMED
    if moment is None:
        return NoteVerdict.MALFORMED
    sender, target = first.get("From", ""), first.get("To", "")
    matches = False
    for left, right in ((sender, target), (_bare(sender), _bare(target))):
        digest = _digest(note.algorithm, left, right, request, secret)
        for octets in (digest, digest.hex().encode("ascii")):
            matches |= hmac.compare_digest(base64.b64encode(octets), note.nonce.encode("ascii"))
    if not matches:
        return NoteVerdict.WRONG
    return NoteVerdict.VALID if abs((moment - now).total_seconds()) <= window_s else NoteVerdict.STALE


def _bare(value: str) -> str:
    """The URI of a From or To value."""
    try:
        return NameAddr.parse(value).uri
    except SipParseError:
        return value
