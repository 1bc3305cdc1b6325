"""An RTSP server that says what a test tells it: for the core's client against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

SDP = "v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:t0\r\n"
Say = Callable[[str, str], str | None]
"""What to answer to (method, request): header fields and more after the status line; None closes."""


def plays(method: str, _request: str) -> str | None:
    """A server that does everything right."""
    if method == "DESCRIBE":
        return f"200 OK\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
    if method == "SETUP":
        return "200 OK\r\nSession: 7;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    return "200 OK\r\nSession: 7\r\n\r\n"


class Server:
    """What it was asked, and the connections that stand."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.asked: list[str] = []
        self.requests: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.reports = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":  # an interleaved report of reception
                    self.reports += 1
                    await reader.readexactly(int.from_bytes((await reader.readexactly(3))[1:], "big"))
                    continue
                request = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                method = request.split(" ", 1)[0]
                self.asked.append(method)
                self.requests.append(request)
                answer = self._say(method, request)
                if answer is None:
                    return
                cseq = request.split("CSeq: ")[1].split("\r\n")[0]
                status, _, rest = answer.partition("\r\n")
                writer.write(f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{rest}".encode("latin-1"))
        except (EOFError, OSError, asyncio.LimitOverrunError):
            pass
        finally:
            with contextlib.suppress(OSError):
                writer.close()


@asynccontextmanager
async def rtsp_server(say: Say, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server(say)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.writers:
            writer.close()
