"""Media tickets: the signed, single-use right to open one stream by one protocol, soon and until a moment.

A ticket is `base64url(payload || HMAC-SHA256(key, payload))` without padding. The payload, big-endian:

    offset  size  field
    0       1     version: 1, or 2 for one that names from where it may be used
    1       1     protocol: 1 HTTP, 2 WebSocket, 3 talk (the stream id is that of the talk), 4 RTSP, 5 HLS,
                  6 FLV over HTTP, 7 FLV over WebSocket
    2       8     start_by, milliseconds UTC since 1970: the viewer must connect before it
    10      8     end_by, milliseconds UTC since 1970: the core cuts the viewer then
    18      16    nonce, random
    34      ...   in version 2 only: family (4 or 6), prefix length, network address of 4 or 16 bytes
    ...     ...   stream_id, access_id, grant_id: each one length byte (1-128) and as many characters of
                  `A-Z a-z 0-9 . _ ~ -`

The core refuses a ticket with one of these reasons: `missing`, `malformed`, `forged`, `wrong_protocol`,
`wrong_stream`, `start_too_far`, `expired`, `ended`, `reused`, `cut` (its grant or access was cut),
`wrong_address` (it was used from elsewhere than it is good for),
`stream_unknown`, `overloaded` (the memory of used tickets is full).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from commonview.foundation.settings import IpNetwork
from commonview.media.errors import InvalidMediaArgument
from commonview.media.model import SpeakerProtocol, ViewerProtocol

START_WITHIN_MAX = timedelta(seconds=60)
"""A ticket whose `start_by` lies further ahead is refused by the core (`start_too_far`)."""

KEY_BYTES_MIN = 32

_MAC_BYTES = 32
_NONCE_AT = 18
_PASSWORD_CHARACTERS = 22
_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROTOCOL_CODES: dict[ViewerProtocol | SpeakerProtocol, int] = {
    ViewerProtocol.HTTP: 1,
    ViewerProtocol.WEBSOCKET: 2,
    SpeakerProtocol.TALK: 3,
    ViewerProtocol.RTSP: 4,
    ViewerProtocol.HLS: 5,
    ViewerProtocol.HTTP_FLV: 6,
    ViewerProtocol.WEBSOCKET_FLV: 7,
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one viewer may open. `start_by` and `end_by` are aware datetimes."""

    stream_id: str
    access_id: str
    grant_id: str
    protocol: ViewerProtocol | SpeakerProtocol
    start_by: datetime
    end_by: datetime
    peers: IpNetwork | None = None
    """From where it may be used; None for anywhere."""


def sign(key: bytes, ticket: Ticket) -> str:
    """Sign `ticket`; every call gives another one, because the nonce inside is fresh.

    Raises `InvalidMediaArgument` for a short key, a naive time or an id the format cannot hold.
    """
    if len(key) < KEY_BYTES_MIN:
        raise InvalidMediaArgument(f"the ticket key has {len(key)} bytes, it needs {KEY_BYTES_MIN} or more")
    payload = struct.pack(
        ">BBQQ16s",
        1 if ticket.peers is None else 2,
        _PROTOCOL_CODES[ticket.protocol],
        _milliseconds("start_by", ticket.start_by),
        _milliseconds("end_by", ticket.end_by),
        secrets.token_bytes(16),
    )
    if ticket.peers is not None:
        network = ticket.peers
        payload += bytes([network.version, network.prefixlen]) + network.network_address.packed
    for name in ("stream_id", "access_id", "grant_id"):
        payload += _field(name, getattr(ticket, name))
    mac = hmac.digest(key, payload, hashlib.sha256)
    return base64.urlsafe_b64encode(payload + mac).rstrip(b"=").decode("ascii")


def live_path(stream_id: str, signed: str) -> str:
    """The path and query of a playable URL, to be put behind `ws://host:port` or `http://host:port`."""
    return f"/live/{stream_id}.mp4?ticket={signed}"


def hls_path(stream_id: str, signed: str) -> str:
    """The path and query of the playlist that opens a viewing by HLS, to be put behind `http://host:port`."""
    return f"/hls/{stream_id}/index.m3u8?ticket={signed}"


def viewer_path(protocol: ViewerProtocol, stream_id: str, signed: str) -> str:
    """The path and query of the URL that a viewer of `protocol` opens."""
    match protocol:
        case ViewerProtocol.HLS:
            return hls_path(stream_id, signed)
        case ViewerProtocol.HTTP_FLV | ViewerProtocol.WEBSOCKET_FLV:
            return f"/live/{stream_id}.flv?ticket={signed}"
        case _:
            return live_path(stream_id, signed)


def rtsp_path(stream_id: str) -> str:
    """The path of a player's URL, to be put behind `rtsp://name:password@host:port`."""
    return f"/live/{stream_id}"


def sign_in(signed: str) -> tuple[str, str]:
    """The name and password with which a player proves that it knows a deposited ticket (`expect_player`).

    The nonce in hexadecimal and the first 22 characters of the signature in base64url: ffmpeg cuts the user
    information of a URL off after 127 characters, and a whole ticket is longer.
    """
    raw = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
    signature = base64.urlsafe_b64encode(raw[-_MAC_BYTES:]).decode("ascii")
    return raw[_NONCE_AT : _NONCE_AT + 16].hex(), signature[:_PASSWORD_CHARACTERS]


def talk_path(talk_id: str, signed: str) -> str:
    """The path and query of a speaker's URL, to be put behind `ws://host:port`."""
    return f"/talk/{talk_id}?ticket={signed}"


def _milliseconds(name: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise InvalidMediaArgument(f"{name} has no time zone")
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise InvalidMediaArgument(f"{name} lies before 1970")
    return milliseconds


def _field(name: str, value: str) -> bytes:
    if not _ID.match(value):
        raise InvalidMediaArgument(f"{name} must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ -")
    return bytes([len(value)]) + value.encode("ascii")
