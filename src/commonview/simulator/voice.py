"""A simulated device's loudspeaker: it is asked by Broadcast and calls, or is called (2016), and listens.

It keeps what it heard, A-law or AAC, and can tell pitch and level of A-law, so that a test knows that a voice
came through, and not merely packets.
"""

import asyncio
import contextlib
import math
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from commonview.network.sip_endpoint import Flow, ServerTransaction, SipEndpoint, SipEndpointError
from commonview.simulator.requests import RequestWriter
from commonview.simulator.spoil import spoil_voice
from commonview.wire.manscdp import Broadcast, BroadcastResult, Message
from commonview.wire.sdp import CONTENT_TYPE, PS, GbSdp, MediaTransport, RtpMap, SdpError, Setup
from commonview.wire.sdp_reader import parse_sdp
from commonview.wire.sip.dialog import Dialog

RATE_HZ: Final = 8000
AAC_RATE_HZ: Final = 16_000
_TYPES: Final = {
    "PCMA": RtpMap(8, "PCMA", RATE_HZ),
    "PS": PS,
    "PS-AAC": PS,  # a program stream in which it takes AAC, as f= says
    "AAC": RtpMap(102, "AAC", RATE_HZ),  # a name without a payload format: nobody knows what to send
    "MPEG4-GENERIC": RtpMap(97, "MPEG4-GENERIC", AAC_RATE_HZ),  # RFC 3640
}
_FMTP: Final = "fmtp:97 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408"
_INVITE_S: Final = 5.0
_BYE_S: Final = 3.0
_DIAL_S: Final = 5.0
_HEARD_BYTES: Final = 8000 * 600

Way = Literal["udp", "dials", "listens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How a device takes voices.

    ``broadcast`` False: it answers Broadcast with ERROR; ``silent``: not at all, and calls all the same.
    ``talks``: it takes an INVITE with `s=Talk`. ``way`` is its part over TCP. ``encodings`` is what it
    offers, of the names below, in its order. ``caller`` stands in From and Subject of its call instead of
    the addressed loudspeaker (trap 32). ``calls`` False: it promises and never does. ``names_number`` False:
    no `y=` in its offer (trap 33). ``media_host`` stands in `c=` instead of its address. It dials after
    ``dials_after_s``, without waiting for anything (trap 44), and hangs up ``hangs_up_after_s`` after the
    answer.
    """

    broadcast: bool = True
    silent: bool = False
    talks: bool = True
    busy: bool = False
    way: Way = "udp"
    encodings: tuple[str, ...] = ("PCMA",)
    caller: str | None = None
    calls: bool = True
    names_number: bool = True
    media_host: str | None = None
    dials_after_s: float = 0.0
    hangs_up_after_s: float | None = None


@dataclass(slots=True)
class Heard:
    """What came out of the loudspeaker."""

    takes_aac: bool = False
    alaw: bytearray = field(default_factory=bytearray)
    aac: bytearray = field(default_factory=bytearray)  # ADTS frames, as any decoder takes them
    packets: int = 0
    ssrcs: set[int] = field(default_factory=set)
    payload_types: set[int] = field(default_factory=set)

    def take(self, packet: bytes) -> None:
        """One RTP packet."""
        if len(packet) < 12 or packet[0] >> 6 != 2:
            return
        self.packets += 1
        self.payload_types.add(packet[1] & 0x7F)
        self.ssrcs.add(int.from_bytes(packet[8:12], "big"))
        payload = packet[12 + 4 * (packet[0] & 0x0F) :]
        if packet[1] & 0x7F == _TYPES["MPEG4-GENERIC"].payload_type:
            self.aac += _of_rfc_3640(payload)[: _HEARD_BYTES - len(self.aac)]
            return
        sound = _of_program(payload) if payload.startswith(b"\x00\x00\x01\xba") else payload
        kept = self.aac if self.takes_aac else self.alaw
        kept += sound[: _HEARD_BYTES - len(kept)]

    @property
    def frequency_hz(self) -> float:
        """The pitch of what was heard, by how often it crosses zero upwards; 0 for silence."""
        samples = [_ALAW[byte] for byte in self.alaw]
        rises = [at for at, (before, after) in enumerate(pairwise(samples)) if before < 0 <= after]
        if len(rises) < 2:
            return 0.0
        return (len(rises) - 1) * RATE_HZ / (rises[-1] - rises[0])

    @property
    def level_dbfs(self) -> float:
        """How loud: the root mean square against full scale, in decibels; -inf for silence."""
        if not self.alaw:
            return -math.inf
        power = sum(_ALAW[byte] ** 2 for byte in self.alaw) / len(self.alaw)
        return 10 * math.log10(power / 32768**2) if power else -math.inf


def _of_program(pack: bytes) -> bytes:
    """The audio of a pack: every PES packet of stream C0 (ISO/IEC 13818-1 2.4.3.6)."""
    sound = bytearray()
    at = pack.find(b"\x00\x00\x01\xc0")
    while at >= 0:
        length = int.from_bytes(pack[at + 4 : at + 6], "big")
        begin = at + 9 + pack[at + 8]
        sound += pack[begin : at + 6 + length]
        at = pack.find(b"\x00\x00\x01\xc0", at + 6 + length)
    return bytes(sound)


def _of_rfc_3640(payload: bytes) -> bytes:
    """The access units of a packet in mode AAC-hbr (RFC 3640 3.3.6) behind ADTS headers: 16 kHz, mono."""
    count = int.from_bytes(payload[:2], "big") // 16
    at, frames = 2 + 2 * count, bytearray()
    for number in range(count):
        size = int.from_bytes(payload[2 + 2 * number : 4 + 2 * number], "big") >> 3
        length = size + 7
        # ISO/IEC 13818-7 6.2: MPEG-4, AAC-LC, index 8, one channel.
        frames += bytes(
            (0xFF, 0xF1, 0x60, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC)
        )
        frames += payload[at : at + size]
        at += size
    return bytes(frames)


def _alaw_sample(byte: int) -> int:
    """ITU-T G.711 table 1a, as a 16-bit sample."""
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if byte & 0x80 else -magnitude


_ALAW: Final = tuple(_alaw_sample(byte) for byte in range(256))


class _Ear(asyncio.DatagramProtocol):
    """Where RTP comes out, over UDP or RFC 4571."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._open: list[
            asyncio.BaseTransport | asyncio.AbstractServer | asyncio.Task[None] | socket.socket
        ] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard.take(data)

    async def bind(self, host: str) -> int:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, (host, 0))
        self._open.append(transport)
        return int(transport.get_extra_info("sockname")[1])

    async def listen(self, host: str) -> int:
        server = await asyncio.start_server(self._read, host, 0)
        self._open.append(server)
        return int(server.sockets[0].getsockname()[1])

    def reserve(self, host: str) -> socket.socket:
        """A socket to dial from, whose port can be named before."""
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._open.append(connection)
        connection.setblocking(False)
        connection.bind((host, 0))
        return connection

    def dial(self, connection: socket.socket, peer: tuple[str, int], after_s: float) -> None:
        self._open.append(asyncio.ensure_future(self._dial(connection, peer, after_s)))

    async def _dial(self, connection: socket.socket, peer: tuple[str, int], after_s: float) -> None:
        await asyncio.sleep(after_s)
        with connection, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_DIAL_S):
                await asyncio.get_running_loop().sock_connect(connection, peer)
            await self._read(*await asyncio.open_connection(sock=connection))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer.transport)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                self._heard.take(await reader.readexactly(length))

    def close(self) -> None:
        for one in self._open:
            if isinstance(one, asyncio.Task):
                one.cancel()
            elif isinstance(one, asyncio.AbstractServer):
                one.close()
            elif isinstance(one, asyncio.WriteTransport):
                one.abort()
            else:
                one.close()


@dataclass(slots=True)
class _Hearing:
    """One call in which the device listens."""

    call_id: str
    ear: _Ear
    dialog: Dialog | None = None


class VoicePart:
    """The loudspeaker of a simulated device. `heard` is of the latest call."""

    def __init__(
        self,
        voice: Voice,
        writer: Callable[[], RequestWriter],
        host: str,
        *,
        endpoint: Callable[[], SipEndpoint],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._voice = voice
        self.heard = Heard()
        self.refusals: list[int] = []
        """What the platform answered to our calls other than 200."""
        self._writer = writer
        self._host = host
        self._endpoint = endpoint
        self._send = send
        self._calls: dict[str, _Hearing] = {}

    @property
    def voice(self) -> Voice:
        """How it takes voices now."""
        writer = self._writer()
        return spoil_voice(self._voice, writer.camera.device_id, writer.faults())

    @property
    def listening(self) -> bool:
        """Whether a call stands."""
        return any(call.dialog is not None for call in self._calls.values())

    # -- asked by Broadcast (9.12)

    async def take(self, notice: Broadcast, flow: Flow) -> None:
        """Answer a Broadcast, and call."""
        voice = self.voice
        if not voice.silent:
            result = "OK" if voice.broadcast else "ERROR"
            await self._send(BroadcastResult(sn=notice.sn, device_id=notice.target_id, result=result))
        if voice.broadcast and voice.calls:
            await self._call(notice, flow)

    async def _call(self, notice: Broadcast, flow: Flow) -> None:
        ear = _Ear(Heard(takes_aac="PS-AAC" in self.voice.encodings))
        self.heard = ear._heard
        caller = self.voice.caller or notice.target_id
        try:
            port, connection = await self._own_end(ear)
            ssrc = f"0{secrets.randbelow(10**9):09d}"
            offer = self._described(port, ssrc if self.voice.names_number else None, self.voice.encodings)
            subject = f"{notice.source_id}:{ssrc},{caller}:0"
            request = self._writer().invite(caller, notice.source_id, offer.encode(), subject)
            hearing = _Hearing(request.headers.first["Call-ID"], ear)
            self._calls[hearing.call_id] = hearing
            result = await self._endpoint().invite(request, flow, timeout_s=_INVITE_S)
        except SipEndpointError:
            self._over(hearing)
            return
        except BaseException:
            ear.close()
            raise
        if result.dialog is None:
            self.refusals.append(result.response.status)
            self._over(hearing)
            return
        hearing.dialog = result.dialog
        answer = parse_sdp(result.response.body)
        if connection is not None:
            ear.dial(connection, (answer.address, answer.port), self.voice.dials_after_s)
        await result.ack()
        await self._perhaps_hang_up(hearing, flow)

    async def _own_end(self, ear: _Ear) -> tuple[int, socket.socket | None]:
        """The port to offer, and over TCP, when it dials, the socket that holds it."""
        if self.voice.way == "udp":
            return await ear.bind(self._host), None
        if self.voice.way == "listens":
            return await ear.listen(self._host), None
        connection = ear.reserve(self._host)
        return int(connection.getsockname()[1]), connection

    def _described(self, port: int, ssrc: str | None, encodings: tuple[str, ...]) -> GbSdp:
        maps = tuple(_TYPES[name] for name in encodings)
        setups: dict[Way, Setup | None] = {"udp": None, "dials": "active", "listens": "passive"}
        way = self.voice.way
        return GbSdp(
            owner_id=self._writer().camera.device_id,
            session_name="Play",
            address=self.voice.media_host or self._host,
            port=port,
            transport=MediaTransport.UDP if way == "udp" else MediaTransport.TCP,
            media="audio",
            payload_types=tuple(each.payload_type for each in maps),
            rtpmaps=maps,
            direction="recvonly",
            setup=setups[way],
            connection=None if way == "udp" else "new",
            ssrc_text=ssrc,
            media_format="v/////a/6//3" if "PS-AAC" in encodings else "v/////a/1/8/1",
            attributes=(_FMTP,) if "MPEG4-GENERIC" in encodings else (),
        )

    async def _perhaps_hang_up(self, hearing: _Hearing, flow: Flow) -> None:
        if self.voice.hangs_up_after_s is not None:
            await asyncio.sleep(self.voice.hangs_up_after_s)
            await self._bye(hearing, flow)

    # -- called (2016)

    def wants(self, transaction: ServerTransaction) -> bool:
        """Whether an INVITE is for the loudspeaker."""
        return b"m=audio" in transaction.request.body and b"m=video" not in transaction.request.body

    async def take_invite(self, transaction: ServerTransaction) -> None:
        """Answer an INVITE with `s=Talk` as 2016 devices do."""
        try:
            offer = parse_sdp(transaction.request.body)
        except SdpError:
            transaction.respond(400)
            return
        if self.voice.busy or not self.voice.talks or offer.session_name != "Talk":
            transaction.respond(486 if self.voice.busy else 488)
            return
        ear = _Ear(Heard())
        self.heard = ear._heard
        hearing = _Hearing(transaction.request.headers.first["Call-ID"], ear)
        self._calls[hearing.call_id] = hearing
        over_tcp = offer.transport is MediaTransport.TCP
        setup: Setup | None = None
        if not over_tcp:
            port = await ear.bind(self._host)
        elif offer.setup == "active":
            port, setup = await ear.listen(self._host), "passive"
        else:
            connection = ear.reserve(self._host)
            port, setup = int(connection.getsockname()[1]), "active"
            ear.dial(connection, (offer.address, offer.port), self.voice.dials_after_s)
        answer = GbSdp(
            owner_id=self._writer().camera.device_id,
            session_name="Talk",
            address=self._host,
            port=port,
            transport=offer.transport,
            media="audio",
            payload_types=(8,),
            rtpmaps=(_TYPES["PCMA"],),
            direction="sendrecv",
            setup=setup,
            ssrc_text=offer.ssrc_text,
        )
        transaction.respond(200, headers=[("Content-Type", CONTENT_TYPE)], body=answer.encode())
        hearing.dialog = transaction.dialog
        await self._perhaps_hang_up(hearing, transaction.flow)

    # -- the end

    def take_bye(self, transaction: ServerTransaction) -> bool:
        """The platform hangs up; False when it is no call of ours."""
        hearing = self._calls.get(transaction.request.headers.first.get("Call-ID", ""))
        if hearing is None:
            return False
        transaction.respond(200)
        hearing.dialog = None
        self._over(hearing)
        return True

    async def hang_up(self, flow: Flow | None) -> None:
        """End every call with BYE."""
        for hearing in list(self._calls.values()):
            if flow is not None:
                await self._bye(hearing, flow)
            self._over(hearing)

    async def _bye(self, hearing: _Hearing, flow: Flow) -> None:
        dialog, hearing.dialog = hearing.dialog, None
        if dialog is not None:
            with contextlib.suppress(SipEndpointError):
                await self._endpoint().request(dialog.new_request("BYE"), flow, timeout_s=_BYE_S)
        self._over(hearing)

    def _over(self, hearing: _Hearing) -> None:
        self._calls.pop(hearing.call_id, None)
        hearing.ear.close()
