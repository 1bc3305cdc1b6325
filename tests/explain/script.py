"""Captures from scripted exchanges: says what went over the wire, and writes it as pcap."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field

from commonview.explain import PcapWriter
from commonview.wire.sip.digest import Challenge, answer

DEVICE = "34020000001110000001"
CHANNEL = "34020000001320000001"
PLATFORM = "34020000002000000001"
DOMAIN = "3402000000"
CAMERA_AT = ("192.0.2.10", 5060)
PLATFORM_AT = ("192.0.2.1", 5060)
MEDIA_AT = ("192.0.2.1", 30000)
CAMERA_MEDIA = ("192.0.2.10", 15060)
BEGIN = 1_790_000_000.0
SSRC = "0200000001"
PS = b"\x00\x00\x01\xba" + bytes(200)
TS = (b"\x47" + bytes(187)) * 2


@dataclass
class Script:
    """A capture in the making; `now` moves on with every message."""

    device_at: tuple[str, int] = CAMERA_AT
    platform_at: tuple[str, int] = PLATFORM_AT
    device: str = DEVICE
    transport: str = "udp"
    now: float = BEGIN
    cseq: int = 0
    frames: list[tuple[float, object]] = field(default_factory=list)

    # -- the file

    def __post_init__(self) -> None:
        self.file = io.BytesIO()
        self.writer = PcapWriter(self.file)

    def capture(self) -> bytes:
        return self.file.getvalue()

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def silence(self, seconds: float) -> None:
        """Time passes, and something that is no business of ours shows that the capture goes on."""
        self.now += seconds
        self.writer.udp(self.now, ("192.0.2.99", 123), ("192.0.2.98", 123), b"ntp")

    def raw(self, data: bytes, source: tuple[str, int], target: tuple[str, int], **more: int) -> None:
        self.now += 0.01
        if self.transport == "tcp":
            self.writer.tcp(self.now, source, target, data)
        else:
            self.writer.udp(self.now, source, target, data, lose=more.get("lose"))

    def send(self, up: bool, lines: list[str], body: bytes = b"", *, length: int | None = None) -> bytes:
        count = len(body) if length is None else length
        head = "\r\n".join([*lines, f"Content-Length: {count}", "", ""])
        data = head.encode() + body
        self.raw(data, *self.ends(up))
        return data

    def ends(self, up: bool) -> tuple[tuple[str, int], tuple[str, int]]:
        return (self.device_at, self.platform_at) if up else (self.platform_at, self.device_at)

    # -- requests and answers

    def request(
        self,
        method: str,
        *more: str,
        up: bool = True,
        call: str | None = None,
        body: bytes = b"",
        user: str | None = None,
        to: str | None = None,
        kind: str = "Application/MANSCDP+xml",
        length: int | None = None,
        domain: str = DOMAIN,
        same: bool = False,
    ) -> list[str]:
        """Send a request; returns the lines an answer repeats."""
        if not same:
            self.cseq += 1
        source, _ = self.ends(up)
        sender = user if user is not None else (self.device if up else PLATFORM)
        receiver = to or (PLATFORM if up else self.device)
        owner = sender if method == "REGISTER" and to is None else receiver
        branch = f"z9hG4bK{method}{self.cseq}"
        via = f"SIP/2.0/{self.transport.upper()} {source[0]}:{source[1]};rport;branch={branch}"
        repeated = [
            f"Via: {via}",
            f"From: <sip:{sender}@{domain}>;tag=t{method}",
            f"To: <sip:{owner}@{domain}>",
            f"Call-ID: {call or f'call-{self.cseq}'}",
            f"CSeq: {self.cseq} {method}",
        ]
        lines = [f"{method} sip:{receiver}@{DOMAIN} SIP/2.0", *repeated, "Max-Forwards: 70", *more]
        if body:
            lines.append(f"Content-Type: {kind}")
        self.send(up, lines, body, length=length)
        return repeated

    def answer(
        self,
        repeated: list[str],
        status: str,
        *more: str,
        up: bool = False,
        body: bytes = b"",
        target: tuple[str, int] | None = None,
    ) -> None:
        kind = ["Content-Type: application/sdp"] if body else []
        lines = [f"SIP/2.0 {status}", *repeated, *kind, *more, f"Content-Length: {len(body)}", "", ""]
        ends = self.ends(up)
        self.raw("\r\n".join(lines).encode() + body, ends[0], target or ends[1])

    # -- whole exchanges

    def challenge(self, nonce: str = "n1", realm: str = DOMAIN, *, stale: bool = False) -> str:
        return f"WWW-Authenticate: {Challenge(realm, nonce, stale=stale).encode()}"

    def proof(self, nonce: str = "n1", realm: str = DOMAIN, user: str | None = None) -> str:
        credentials = answer(
            Challenge(realm, nonce),
            username=user or self.device,
            password="secret word",
            method="REGISTER",
            uri=f"sip:{PLATFORM}@{DOMAIN}",
        )
        return f"Authorization: {credentials.encode()}"

    def contact(self) -> str:
        return f"Contact: <sip:{self.device}@{self.device_at[0]}:{self.device_at[1]}>"

    def register(self, *more: str, expires: int = 3600, call: str = "reg", date: str = "") -> None:
        nonce = f"n{self.cseq}"
        first = self.request("REGISTER", self.contact(), f"Expires: {expires}", *more, call=call)
        self.answer(first, "401 Unauthorized", self.challenge(nonce))
        lines = (self.contact(), f"Expires: {expires}", self.proof(nonce), *more)
        second = self.request("REGISTER", *lines, call=call)
        self.answer(second, "200 OK", f"Expires: {expires}", *([f"Date: {date}"] if date else []))

    def keepalive(self, status: str = "200 OK", *, health: str = "OK") -> None:
        body = manscdp("Notify", "Keepalive", self.cseq + 1, self.device, f"<Status>{health}</Status>")
        self.answer(self.request("MESSAGE", body=body), status)

    def ask(self, cmd_type: str = "Catalog", sn: int = 7, status: str = "200 OK") -> None:
        body = manscdp("Query", cmd_type, sn, self.device)
        asked = self.request("MESSAGE", up=False, body=body)
        if status:
            self.answer(asked, status, up=True)

    def page(
        self, ids: list[str], promised: int, sn: int = 7, *, status: str = "200 OK", **more: object
    ) -> None:
        body = more.pop("body", None) or catalogue(self.device, ids, promised, sn)
        assert isinstance(body, bytes)
        length = more.get("length")
        sent = self.request("MESSAGE", body=body, length=length if isinstance(length, int) else None)
        if status:
            self.answer(sent, status)

    def invite(self, *, offer: bytes | None = None, call: str = "live") -> list[str]:
        body = sdp(PLATFORM, MEDIA_AT, direction="recvonly") if offer is None else offer
        subject = f"Subject: {CHANNEL}:0,{PLATFORM}:{SSRC}"
        contact = f"Contact: <sip:{PLATFORM}@{PLATFORM_AT[0]}:5060>"
        return self.request(
            "INVITE", subject, contact, up=False, call=call, to=CHANNEL, body=body, kind="application/sdp"
        )

    def accept(
        self, invited: list[str], *, reply: bytes | None = None, ack: bool = True, call: str = "live"
    ) -> None:
        self.answer(invited, "100 Trying", up=True)
        body = sdp(CHANNEL, CAMERA_MEDIA, direction="sendonly") if reply is None else reply
        self.answer(invited, "200 OK", f"Contact: <sip:{CHANNEL}@192.0.2.10:5060>", up=True, body=body)
        if ack:
            self.request("ACK", up=False, call=call, to=CHANNEL, same=True)

    def bye(self, *, call: str = "live", up: bool = False, status: str = "200 OK") -> None:
        said = self.request("BYE", up=up, call=call, to=CHANNEL)
        if status:
            self.answer(said, status, up=not up)

    def rtp(
        self,
        packets: int = 200,
        *,
        source: tuple[str, int] = CAMERA_MEDIA,
        target: tuple[str, int] = MEDIA_AT,
        ssrc: int = int(SSRC),
        payload_type: int = 96,
        payload: bytes = PS,
        every_s: float = 0.04,
        drop: frozenset[int] = frozenset(),
        over: str = "udp",
    ) -> None:
        for number in range(packets):
            self.now += every_s
            if number in drop:
                continue
            packet = struct.pack("!BBHII", 0x80, payload_type, number, number * 3600, ssrc) + payload
            if over == "udp":
                self.writer.udp(self.now, source, target, packet)
            elif over == "rfc4571":
                self.writer.tcp(self.now, source, target, struct.pack("!H", len(packet)) + packet)
            else:
                framed = b"$\x00" + struct.pack("!H", len(packet)) + packet
                self.writer.tcp(self.now, source, target, framed)


def manscdp(root: str, cmd_type: str, sn: int, device: str, more: str = "", charset: str = "GB2312") -> bytes:
    text = (
        f'<?xml version="1.0" encoding="{charset}"?>\r\n<{root}>\r\n<CmdType>{cmd_type}</CmdType>\r\n'
        f"<SN>{sn}</SN>\r\n<DeviceID>{device}</DeviceID>\r\n{more}\r\n</{root}>\r\n"
    )
    return text.encode("gb18030")


def catalogue(device: str, ids: list[str], promised: int, sn: int = 7, name: str = "camera") -> bytes:
    items = "".join(f"<Item><DeviceID>{each}</DeviceID><Name>{name}</Name></Item>\r\n" for each in ids)
    listed = f'<SumNum>{promised}</SumNum>\r\n<DeviceList Num="{len(ids)}">\r\n{items}</DeviceList>'
    return manscdp("Response", "Catalog", sn, device, listed)


def channels(count: int, start: int = 1) -> list[str]:
    return [f"34020000001320{number:06d}" for number in range(start, start + count)]


def sdp(
    owner: str,
    at: tuple[str, int],
    *,
    direction: str = "",
    transport: str = "RTP/AVP",
    setup: str = "",
    ssrc: str = SSRC,
    name: str = "Play",
    media: str = "video",
) -> bytes:
    lines = [
        "v=0",
        f"o={owner} 0 0 IN IP4 {at[0]}",
        f"s={name}",
        f"c=IN IP4 {at[0]}",
        "t=0 0",
        f"m={media} {at[1]} {transport} 96",
        *([f"a={direction}"] if direction else []),
        "a=rtpmap:96 PS/90000",
        *([f"a=setup:{setup}"] if setup else []),
        *([f"y={ssrc}"] if ssrc else []),
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
