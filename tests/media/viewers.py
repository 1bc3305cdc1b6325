"""Viewers for tests: plain HTTP and WebSocket clients that keep what they get, and a decoder for it."""

from __future__ import annotations

import http.client
import io
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import av
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from commonview.media import CoreMediaNode, SpeakerProtocol, Ticket, ViewerProtocol, tickets
from tests.waiting import PATIENCE_S

KEY = bytes(range(32))


def signed(
    stream_id: str,
    protocol: ViewerProtocol | SpeakerProtocol,
    *,
    access_id: str = "access",
    grant_id: str = "grant",
    peers: str | None = None,
    start_in: float = 30.0,
    end_in: float = 600.0,
    key: bytes = KEY,
) -> str:
    now = datetime.now(UTC)
    start_by, end_by = now + timedelta(seconds=start_in), now + timedelta(seconds=end_in)
    where = None if peers is None else ip_network(peers)
    return tickets.sign(key, Ticket(stream_id, access_id, grant_id, protocol, start_by, end_by, where))


def websocket(
    node: CoreMediaNode,
    stream_id: str,
    token: str | None = None,
    *,
    origin: str | None = None,
    **ticket: Any,
) -> ClientConnection:
    """Connect a WebSocket viewer; further keywords go into its ticket."""
    token = token or signed(stream_id, ViewerProtocol.WEBSOCKET, **ticket)
    url = f"ws://127.0.0.1:{node.viewer_port}{tickets.live_path(stream_id, token)}"
    site = None if origin is None else Origin(origin)
    return connect(url, origin=site, compression=None, max_size=None, max_queue=None, proxy=None)


@dataclass(slots=True)
class Watched:
    """What a WebSocket viewer got: its JSON messages, its init segment and its fragments."""

    messages: list[dict[str, Any]]
    init: bytes
    fragments: list[bytes]

    @property
    def file(self) -> bytes:
        return self.init + b"".join(self.fragments)


def watch(connection: ClientConnection, fragments: int, *, timeout: float = 10.0) -> Watched:
    """Read until there are so many fragments."""
    watched = Watched([], b"", [])
    while len(watched.fragments) < fragments:
        message = connection.recv(timeout=timeout)
        if isinstance(message, str):
            watched.messages.append(json.loads(message))
        elif message[4:8] == b"ftyp":
            watched.init = message
        else:
            watched.fragments.append(message)
    return watched


def last_words(connection: ClientConnection, *, timeout: float = 10.0) -> dict[str, Any]:
    """Read to the last text message, over pictures and parameters; the connection is closed after it."""
    while True:
        message = connection.recv(timeout=timeout)
        if isinstance(message, str):
            value: dict[str, Any] = json.loads(message)
            if value["type"] == "end":
                return value


def open_http(
    node: CoreMediaNode,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> http.client.HTTPResponse:
    """Send one request, inside ``tls`` if given, and read the head of its answer."""
    place = ("127.0.0.1", node.viewer_port)
    connection = (
        http.client.HTTPConnection(*place, timeout=PATIENCE_S)
        if tls is None
        else http.client.HTTPSConnection(*place, timeout=PATIENCE_S, context=tls)
    )
    connection.request(method, path, headers=headers or {})
    return connection.getresponse()


def error_code(response: http.client.HTTPResponse) -> str:
    code: str = json.loads(response.read())["error"]["code"]
    return code


def decode(file: bytes) -> list[av.VideoFrame]:
    """Every picture of an fMP4 file, decoded; damage is an error."""
    with av.open(io.BytesIO(file), "r", options={"err_detect": "explode"}) as container:
        return list(container.decode(video=0))
