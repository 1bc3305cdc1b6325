"""A device made of one UDP socket: it says exactly the bytes a test wants said."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType
from typing import Self

from commonview.wire.sip.digest import Challenge, answer
from tests.network.harness import DEVICE, PASSWORD
from tests.waiting import PATIENCE_S

PLATFORM = "34020000002000000001"
DOMAIN = "3402000000"


class ScriptedDevice(asyncio.DatagramProtocol):
    """Raw datagrams in and out; `receive` waits for the next one that begins in a certain way."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received.put_nowait(data)

    def send(self, text: str, body: str = "") -> None:
        """Send a head without Content-Length and its body; lines may end in bare LF in the source."""
        head = text.strip().replace("\n", "\r\n")
        content = body.replace("\n", "\r\n").encode()
        self.send_bytes(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)

    def send_bytes(self, data: bytes) -> None:
        """Send one datagram as it is."""
        assert self._transport is not None
        self._transport.sendto(data, self._server)

    async def receive(self, begin: str, *, holding: str = "") -> str:
        """The next datagram that begins so and holds that; others are dropped."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                data = (await self._received.get()).decode("utf-8", "replace")
                if data.startswith(begin) and holding in data:
                    return data

    def register_text(self, cseq: int, *more: str) -> str:
        lines = [
            f"REGISTER sip:{PLATFORM}@{DOMAIN} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch=z9hG4bKgolden{cseq}",
            f"From: <sip:{DEVICE}@{DOMAIN}>;tag=golden",
            f"To: <sip:{DEVICE}@{DOMAIN}>",
            "Call-ID: golden@camera",
            f"CSeq: {cseq} REGISTER",
            f"Contact: <sip:{DEVICE}@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            "Expires: 3600",
            *more,
        ]
        return "\n".join(lines)

    async def register(self) -> str:
        """Register properly; returns the 200."""
        self.send(self.register_text(1))
        challenge = Challenge.parse(header(await self.receive("SIP/2.0 401"), "WWW-Authenticate"))
        proof = answer(
            challenge,
            username=DEVICE,
            password=PASSWORD,
            method="REGISTER",
            uri=f"sip:{PLATFORM}@{DOMAIN}",
            cnonce="00112233",
        )
        self.send(self.register_text(2, f"Authorization: {proof.encode()}"))
        return await self.receive("SIP/2.0 200", holding="CSeq: 2 REGISTER")

    def reply(self, request: str, status: str, *more: str, body: str = "", to_tag: bool = True) -> None:
        """Answer a request; ``to_tag`` False forgets the tag as some cameras do."""
        to = header(request, "To")
        lines = [
            f"SIP/2.0 {status}",
            f"Via: {header(request, 'Via')}",
            f"From: {header(request, 'From')}",
            f"To: {to}" + (";tag=camera" if to_tag and "tag=" not in to else ""),
            f"Call-ID: {header(request, 'Call-ID')}",
            f"CSeq: {header(request, 'CSeq')}",
            *more,
        ]
        self.send("\n".join(lines), body)

    async def list_one_camera(self, gb_id: str) -> None:
        """Answer the Catalog query with one camera and every other query with 200."""
        query = await self.receive("MESSAGE", holding="<CmdType>Catalog</CmdType>")
        self.reply(query, "200 OK")
        found = re.search(r"<SN>(\d+)</SN>", query)
        assert found is not None
        self.send(
            f"MESSAGE sip:{PLATFORM}@{DOMAIN} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch=z9hG4bKlist{found[1]}\n"
            f"From: <sip:{DEVICE}@{DOMAIN}>;tag=list\nTo: <sip:{PLATFORM}@{DOMAIN}>\n"
            f"Call-ID: list{found[1]}\nCSeq: 20 MESSAGE\nContent-Type: Application/MANSCDP+xml",
            f'<?xml version="1.0"?>\n<Response>\n<CmdType>Catalog</CmdType>\n<SN>{found[1]}</SN>\n'
            f'<DeviceID>{DEVICE}</DeviceID>\n<SumNum>1</SumNum>\n<DeviceList Num="1">\n<Item>\n'
            f"<DeviceID>{gb_id}</DeviceID>\n<Name>camera</Name>\n<Status>ON</Status>\n</Item>\n"
            "</DeviceList>\n</Response>\n",
        )
        await self.receive("SIP/2.0 200", holding=f"Call-ID: list{found[1]}")


def header(message: str, name: str) -> str:
    """The value of a header."""
    found = re.search(rf"^{re.escape(name)}: *(.*?)\r?$", message, re.MULTILINE)
    assert found is not None, f"no {name} in {message}"
    return found[1]
