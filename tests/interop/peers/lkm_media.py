"""Stands where gb-cms has its media server (lkm): the HTTP interface it drives, ports that pass RTP on.

gb-cms is signalling alone; what it says of media goes through here, so that a test sees both. Media is
taken over UDP, kept, and passed on with another SSRC to whoever gb-cms says.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

_RTP_HEADER = 12
_CASCADED = 6


@dataclass
class Target:
    """Where packets of a source go on to."""

    address: tuple[str, int]
    ssrc: int
    sequence: int = 0


@dataclass
class Source(asyncio.DatagramProtocol):
    """One stream that gb-cms asked us to take."""

    stream: str
    ssrc: str
    transport: asyncio.DatagramTransport | None = None
    heard_ssrc: int | None = None
    packets: list[bytes] = field(default_factory=list)
    targets: dict[str, Target] = field(default_factory=dict)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if len(data) <= _RTP_HEADER or data[0] != 0x80:
            return
        self.packets.append(data)
        self.heard_ssrc = int.from_bytes(data[8:12])
        self.first.set()
        for target in self.targets.values():
            self._pass_on(data, target)

    def add(self, sink: str, target: Target) -> None:
        """Pass everything on to it, from the beginning: the first key frame has gone by already."""
        self.targets[sink] = target
        for packet in self.packets:
            self._pass_on(packet, target)

    def _pass_on(self, data: bytes, target: Target) -> None:
        assert self.transport is not None
        target.sequence = (target.sequence + 1) & 0xFFFF
        head = data[:2] + target.sequence.to_bytes(2) + data[4:8] + target.ssrc.to_bytes(4)
        self.transport.sendto(head + data[_RTP_HEADER:], target.address)

    @property
    def payload(self) -> bytes:
        """The program stream so far."""
        return b"".join(packet[_RTP_HEADER:] for packet in self.packets)

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class LkmMedia:
    """The HTTP server gb-cms is configured with; ``hooks`` is the address of gb-cms's own."""

    def __init__(self, hooks: str) -> None:
        self.sources: dict[str, Source] = {}
        self.ended: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.port = 0
        self._hooks = hooks
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = iter(range(1, 10_000))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; the method's name is spelt `post` there."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(found[1])) if found else b"null"
            path, _, query = head.split(" ")[1].partition("?")
            asked = json.loads(body) or {}
            self.calls.append((path.removeprefix("/api/v1/"), asked))
            data = await self._answer(path.removeprefix("/api/v1/"), asked, query)
            text = json.dumps({"code": 200, "msg": "ok", "data": data}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
            )
            await writer.drain()
        finally:
            writer.close()

    async def _answer(self, path: str, asked: dict[str, Any], query: str) -> object:
        if path == "gb28181/source/create":
            return await self._create(asked)
        if path == "sink/add":
            return await self._add_sink(asked, query)
        if path == "source/close":
            self._end(asked["source"])
        if path == "sink/close":
            for source in self.sources.values():
                source.targets.pop(asked["sink"], None)
        return []

    async def _create(self, asked: dict[str, Any]) -> object:
        stream = asked["source"]
        source = Source(stream, asked.get("ssrc") or f"01000{next(self._numbers):05d}")
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: source, ("127.0.0.1", 0))
        self.sources[stream] = source
        self._spawn(self._publish(source))
        return {"addr": f"127.0.0.1:{source.port}", "ssrc": source.ssrc, "urls": []}

    async def _publish(self, source: Source) -> None:
        await source.first.wait()
        await self._hook("on_publish", {"stream": source.stream, "protocol": 2, "remote_addr": ""})

    async def _add_sink(self, asked: dict[str, Any], query: str) -> object:
        sink, stream = f"sink{next(self._numbers)}", asked["source"]
        if stream not in self.sources:
            # A stream that is not there yet: gb-cms is asked for it, and calls the camera.
            told = {"stream": stream, "protocol": _CASCADED, "remote_addr": asked["addr"], "sink": sink}
            await self._hook(f"on_play?{query}", told)
        source = self.sources[stream]
        host, _, port = asked["addr"].rpartition(":")
        source.add(sink, Target((host, int(port)), int(asked["ssrc"])))
        return {"sink": sink, "addr": f"127.0.0.1:{source.port}", "ssrc": asked["ssrc"]}

    async def _hook(self, name: str, told: dict[str, Any]) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
            await client.post(f"{self._hooks}/api/v1/hook/{name}", json=told)

    def _end(self, stream: str) -> None:
        source = self.sources.pop(stream, None)
        if source is not None:
            source.close()
            self.ended.append(stream)

    def _spawn(self, running: Any) -> None:
        task = asyncio.ensure_future(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close every port."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in self.sources.values():
            source.close()


@asynccontextmanager
async def lkm_media(hooks: str) -> AsyncIterator[LkmMedia]:
    """Run it."""
    media = LkmMedia(hooks)
    server = await asyncio.start_server(media.serve, "127.0.0.1", 0)
    media.port = int(server.sockets[0].getsockname()[1])
    try:
        async with server:
            yield media
    finally:
        await media.close()
