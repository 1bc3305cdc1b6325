"""A little HTTP server for the device: it uploads pictures to a one-time address, and fetches firmware.

Pictures are counted and forgotten; nothing of them is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Final, Self

_HEAD_BYTES: Final = 16 * 1024
_BODY_BYTES: Final = 16 * 1024 * 1024
_REQUEST_S: Final = 60.0
_MOST_UPLOADS: Final = 64
_JPEG: Final = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Upload:
    """One request with a body at the upload address, without its body."""

    method: str
    content_type: str
    size_bytes: int
    is_picture: bool


class WebDesk:
    """`async with WebDesk(bind, shown) as desk:`. `shown` is the address by which the device reaches us."""

    def __init__(self, bind: str, shown: str, firmware: bytes = b"") -> None:
        self._bind, self._shown = bind, shown
        self._firmware = firmware
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tokens = {"upload": secrets.token_urlsafe(18), "firmware": secrets.token_urlsafe(18)}
        self._talking: set[asyncio.Task[None]] = set()
        self.uploads: list[Upload] = []
        self.strays = 0
        self.fetched = 0

    async def __aenter__(self) -> Self:
        """Listen at a port of the machine's choice. Raises `OSError`."""
        self._server = await asyncio.start_server(self._accept, self._bind, 0, limit=_HEAD_BYTES)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._talking):
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)

    @property
    def upload_url(self) -> str:
        """Where pictures go; nobody else knows it."""
        return self._url("upload")

    @property
    def firmware_url(self) -> str:
        """Where the package lies."""
        return self._url("firmware")

    @property
    def pictures(self) -> int:
        """Uploads that are pictures."""
        return sum(each.is_picture for each in self.uploads)

    def _url(self, what: str) -> str:
        host = f"[{self._shown}]" if ":" in self._shown else self._shown
        return f"http://{host}:{self._port}/{what}/{self._tokens[what]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of the server is a task
        self._talking.add(task)
        try:
            async with asyncio.timeout(_REQUEST_S):
                status, answer = await self._answer(reader)
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + answer)
                await writer.drain()
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.strays += 1
        finally:
            self._talking.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, bytes]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, path, _ = lines[0].split(" ", 2)
        fields = {
            name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])
        }
        path = path.partition("?")[0]
        if path == f"/firmware/{self._tokens['firmware']}" and method == "GET":
            self.fetched += 1
            return "200 OK", self._firmware
        if path != f"/upload/{self._tokens['upload']}" or method not in ("POST", "PUT"):
            self.strays += 1
            return "404 Not Found", b""
        if len(self.uploads) >= _MOST_UPLOADS:
            return "429 Too Many Requests", b""
        body = await _body(reader, fields)
        kind = fields.get("content-type", "")[:200]
        self.uploads.append(Upload(method, kind, len(body), _is_picture(body, kind)))
        return "200 OK", b""


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    """By its length, or in chunks (RFC 9112 6.3, 7.1). Raises `ValueError` for one without bounds."""
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            if size < 0 or len(body) + size > _BODY_BYTES:
                raise ValueError("too long")
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        return bytes(body)
    length = int(fields.get("content-length", "0"))
    if not 0 <= length <= _BODY_BYTES:
        raise ValueError("too long")
    return await reader.readexactly(length)


def _is_picture(body: bytes, content_type: str) -> bool:
    """A JPEG as the body, or a form that holds one: the standard names no form (9.14)."""
    told = Message()
    told["Content-Type"] = content_type or "application/octet-stream"
    if told.get_content_type() == "multipart/form-data":
        return _JPEG in body
    return body.startswith(_JPEG)
