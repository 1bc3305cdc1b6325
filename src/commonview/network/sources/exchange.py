"""One request and its answer over TCP, HTTP/1.1 and RTSP/1.0 alike: bounded, one connection each, digest.

A camera is asked a few times a minute; a pool, cookies or redirects would be of no use here.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.sources.address import Location, resolve
from commonview.network.sources.errors import SourceFailed
from commonview.network.sources.model import SourceOutcome
from commonview.network.sources.tls import TlsTrust, connect
from commonview.wire.sip.digest import answer, choose
from commonview.wire.sip.errors import SipParseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.settings import IpNetwork

_HEAD_BYTES = 32 * 1024
_BODY_BYTES = 1024 * 1024
_HEADERS = 100
_CONNECT_S = 5.0
_ANSWER_S = 8.0
_NO_TRUST = TlsTrust()
_NEEDED = "a user name and password are needed"
_STATUS_LINE = re.compile(rb"(?:HTTP/1\.[01]|RTSP/1\.0) ([1-5][0-9]{2})(?: [^\r\n]*)?")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. The representation holds no password."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """The name alone."""
        return f"Credentials({self.username!r})"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, header fields (names in lower case) and body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header field."""
        return [value for known, value in self.headers if known == name]


class Asker:
    """Asks one place. Every failure is a `SourceFailed`; but for 401 the status is the caller's to judge."""

    def __init__(
        self,
        location: Location,
        credentials: Credentials,
        networks: Sequence[IpNetwork],
        *,
        timeout_s: float = _ANSWER_S,
        trust: TlsTrust = _NO_TRUST,
    ) -> None:
        self.location = location
        self._credentials = credentials
        self._networks = networks
        self._timeout_s = timeout_s
        self._trust = trust
        self._cseq = 0

    async def ask(
        self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", *, wait_s: float = 0.0
    ) -> Answer:
        """Send a request; answer one challenge. ``wait_s`` is added to the time the answer may take."""
        address = await resolve(self.location.host, self.location.port, self._networks)
        got = await self._send(address, method, headers, body, wait_s)
        if got.status != 401:
            return got
        authorization = self._authorize(method, got)
        if authorization is None:
            # A refusal without a challenge: what the message itself carried (WS-Security) was not accepted.
            reason = "user name or password are not right" if self.has_credentials else _NEEDED
            raise SourceFailed(SourceOutcome.UNAUTHORISED, reason, status=401)
        got = await self._send(address, method, [*headers, ("Authorization", authorization)], body, wait_s)
        if got.status == 401:
            raise SourceFailed(SourceOutcome.UNAUTHORISED, "user name or password are not right", status=401)
        return got

    @property
    def has_credentials(self) -> bool:
        """Whether a user name is set."""
        return bool(self._credentials.username)

    def _target(self) -> str:
        return self.location.url if self.location.is_rtsp else self.location.path or "/"

    def _authorize(self, method: str, refusal: Answer) -> str | None:
        """Digest when it is offered; Basic, which gives the password away, only when nothing else is."""
        who, offers = self._credentials, refusal.values("www-authenticate")
        if not who.username:
            return None
        try:
            challenge = choose(offers)
        except SipParseError:
            if not any(offer.split(None, 1)[:1] and offer.split()[0].lower() == "basic" for offer in offers):
                return None
            pair = f"{who.username}:{who.password}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        answered = answer(
            challenge,
            username=who.username,
            password=who.password,
            method=method,
            uri=self._target(),
            cnonce=secrets.token_hex(16),
        )
        return answered.encode()

    async def _send(
        self, address: str, method: str, headers: Sequence[tuple[str, str]], body: bytes, wait_s: float
    ) -> Answer:
        location, self._cseq = self.location, self._cseq + 1
        version = "RTSP/1.0" if location.is_rtsp else "HTTP/1.1"
        own = (
            [("CSeq", str(self._cseq))]
            if location.is_rtsp
            else [("Host", location.authority), ("Connection", "close"), ("Content-Length", str(len(body)))]
        )
        fields = [*own, ("User-Agent", "Commonview"), *headers]
        head = (
            f"{method} {self._target()} {version}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
        )
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await self._connect(address)
        except ConnectionRefusedError:
            raise SourceFailed(SourceOutcome.REFUSED, "the connection was refused") from None
        except (OSError, TimeoutError):
            raise SourceFailed(SourceOutcome.UNREACHABLE, "the address does not answer") from None
        try:
            async with asyncio.timeout(self._timeout_s + wait_s):
                writer.write(head.encode("ascii", "replace") + body)
                await writer.drain()
                return await _read(reader, until_close=not location.is_rtsp)
        except TimeoutError:
            raise SourceFailed(SourceOutcome.TIMEOUT, "no answer came in time") from None
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
            raise SourceFailed(SourceOutcome.PROTOCOL, "the answer could not be read") from None
        finally:
            writer.close()

    async def _connect(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = self.location
        if where.is_tls:
            return await connect(address, where.port, where.host, self._trust, limit=_HEAD_BYTES)
        return await asyncio.open_connection(address, where.port, limit=_HEAD_BYTES)


async def _read(reader: asyncio.StreamReader, *, until_close: bool) -> Answer:
    """Read an answer. ValueError, EOFError or LimitOverrunError: it is none, or beyond the bounds."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None or len(lines) > _HEADERS:
        raise ValueError("no status line, or too many header fields")
    headers = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    named = dict(headers)
    if "chunked" in named.get("transfer-encoding", "").lower():
        body = await _read_chunks(reader)
    elif "content-length" in named:
        length = int(named["content-length"])
        if not 0 <= length <= _BODY_BYTES:
            raise ValueError("the body is too long")
        body = await reader.readexactly(length)
    else:
        body = await _read_rest(reader) if until_close else b""
    return Answer(int(found[1]), tuple(headers), body)


async def _read_rest(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while piece := await reader.read(64 * 1024):
        body += piece
        if len(body) > _BODY_BYTES:
            raise ValueError("the body is too long")
    return bytes(body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0].strip() or b"x", 16)
        if not 0 <= size <= _BODY_BYTES - len(body):
            raise ValueError("the body is too long")
        if size == 0:
            return bytes(body)
        body += (await reader.readexactly(size + 2))[:-2]
