"""A small RTSP server of our own for the control side: it says its options and a description, or refuses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


class RtspPeer:
    """Answers every request with ``status``; keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.sdp = SDP
        self.password: str | None = None
        self.asked: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head)
                writer.write(self._answer(head))
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    def _answer(self, head: str) -> bytes:
        cseq = head.split("CSeq: ")[1].split("\r\n")[0]
        if self.password is not None and "Authorization: Digest" not in head:
            challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"'
            return f"RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\n{challenge}\r\n\r\n".encode()
        if self.password == "another":
            return f"RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\n\r\n".encode()
        body = self.sdp if head.startswith("DESCRIBE") and self.status == 200 else b""
        return (
            f"RTSP/1.0 {self.status} x\r\nCSeq: {cseq}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )


@asynccontextmanager
async def rtsp_peer(tls: ssl.SSLContext | None = None) -> AsyncIterator[RtspPeer]:
    peer = RtspPeer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    async with server:
        yield peer
