"""How the server and a worker talk: JSON texts and byte payloads with a length in front, over two pipes.

    frame = kind (1 octet: "J" or "B") | length (4 octets, big endian) | content

Server to worker: one J frame a job, `{"job": name, "arguments": {...}}`. Worker to server: any number of J
frames `{"progress": {...}}`, then `{"done": {...}, "payload": bool}` with a B frame behind it if so, or
`{"failed": {"code": ..., "message": ...}}`. Both sides bound what they take.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

HEAD: Final = struct.Struct(">cI")
TEXT: Final = b"J"
BYTES: Final = b"B"
MOST_TEXT: Final = 16 * 2**20
MOST_BYTES: Final = 32 * 2**20


class BadFrame(Exception):
    """What came is no frame of ours."""


def text(content: dict[str, Any]) -> bytes:
    """A J frame. Raises ValueError when it would be too long."""
    data = json.dumps(content, separators=(",", ":")).encode()
    if len(data) > MOST_TEXT:
        raise ValueError("the order is too long")
    return HEAD.pack(TEXT, len(data)) + data


def payload(data: bytes) -> bytes:
    """A B frame. Raises ValueError when it would be too long."""
    if len(data) > MOST_BYTES:
        raise ValueError("the payload is too long")
    return HEAD.pack(BYTES, len(data)) + data


def length_of(head: bytes, kind: bytes) -> int:
    """How long the content of a frame of this kind is. Raises `BadFrame`."""
    found, length = HEAD.unpack(head)
    most = MOST_TEXT if kind == TEXT else MOST_BYTES
    if found != kind or length > most:
        raise BadFrame(f"frame {found!r} of {length} octets")
    return int(length)


def said(content: bytes) -> dict[str, Any]:
    """What a J frame says. Raises `BadFrame`."""
    try:
        told = json.loads(content)
    except ValueError as error:
        raise BadFrame("not JSON") from error
    if not isinstance(told, dict):
        raise BadFrame("not an object")
    return told
