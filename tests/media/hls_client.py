"""An HLS client for tests: reads playlists as RFC 8216 says and keeps its connection between requests."""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

from commonview.media import CoreMediaNode, ViewerProtocol, tickets
from tests.media.viewers import signed
from tests.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment or part as it is listed."""

    uri: str
    duration_s: float


@dataclass(slots=True)
class Listing:
    """What a media playlist says."""

    text: str
    target_s: int
    first: int
    init: str
    segments: list[Piece] = field(default_factory=list)
    parts: list[Piece] = field(default_factory=list)
    hint: str = ""

    @property
    def edge(self) -> tuple[int, int]:
        """Segment and part that come next."""
        found = re.fullmatch(r"part-(\d+)-(\d+)\.m4s", self.hint)
        assert found is not None
        return int(found[1]), int(found[2])


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class HlsClient:
    """One viewing over one connection. `open` redeems the ticket."""

    def __init__(self, port: int, path: str, tls: ssl.SSLContext | None = None) -> None:
        self._connection = (
            http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            if tls is None
            else http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=tls)
        )
        self._path = path
        self.requests = 0

    @classmethod
    def of(cls, node: CoreMediaNode, stream_id: str = "s1", **ticket: object) -> Self:
        token = signed(stream_id, ViewerProtocol.HLS, **ticket)  # type: ignore[arg-type]
        return cls(node.viewer_port, tickets.hls_path(stream_id, token))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, uri: str = "", *, method: str = "GET", **headers: str) -> Answer:
        """One request; `uri` is relative to the playlist read before."""
        self._connection.request(method, urljoin(self._path, uri), headers=headers)
        response = self._connection.getresponse()
        self.requests += 1
        return Answer(response.status, response.headers, response.read())

    def get(self, uri: str = "") -> bytes:
        answer = self.ask(uri)
        assert answer.status == 200, answer
        return answer.body

    def open(self) -> str:
        """Read the multivariant playlist; URIs are relative to the media playlist from here on."""
        text = self.get().decode()
        self._path = urljoin(self._path, text.splitlines()[-1])
        return text

    @property
    def path(self) -> str:
        """The path of the playlist read last."""
        return self._path

    @property
    def port(self) -> int:
        """The port of our end; it stays the same while the connection does."""
        port: int = self._connection.sock.getsockname()[1]
        return port

    def listing(self, query: str = "") -> Listing:
        """Read the media playlist, with these delivery directives."""
        return read_listing(self.get(self._path + query).decode())

    def file(self, listing: Listing) -> bytes:
        """Init segment and all listed segments, one after the other."""
        return self.get(listing.init) + b"".join(self.get(segment.uri) for segment in listing.segments)


def read_listing(text: str) -> Listing:
    def value(tag: str) -> str:
        found = re.search(rf"^#{tag}:(.*)$", text, re.MULTILINE)
        assert found is not None, (tag, text)
        return found[1]

    init = re.findall(r'#EXT-X-MAP:URI="(.*?)"', text)[-1]
    listing = Listing(text, int(value("EXT-X-TARGETDURATION")), int(value("EXT-X-MEDIA-SEQUENCE")), init)
    duration_s = 0.0
    for line in text.splitlines():
        if line.startswith("#EXTINF:"):
            duration_s = float(line[8:].rstrip(","))
        elif found := re.match(r'#EXT-X-PART:DURATION=([\d.]+),URI="(.*?)"', line):
            listing.parts.append(Piece(found[2], float(found[1])))
        elif found := re.match(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(.*?)"', line):
            listing.hint = found[1]
        elif not line.startswith("#"):
            listing.segments.append(Piece(line, duration_s))
    return listing
