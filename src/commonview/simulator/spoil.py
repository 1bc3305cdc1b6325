"""How the bytes of a misbehaving peer differ from those of a good one. Pure, but for the endpoint at the end.

Bodies are spoilt after they were encoded and messages after they were written, so that everything before
stays as the standard wants it.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from commonview.network.sip_endpoint import Flow, SipEndpoint
from commonview.simulator.faults import Fault
from commonview.simulator.settings import Faults
from commonview.wire.manscdp import Catalog, Message, MobilePosition, RecordInfo

if TYPE_CHECKING:
    from commonview.simulator.voice import Voice

_PIECE_BYTES: Final = 700
_PROMISED_MORE: Final = 3
_DECLARED: Final = re.compile(rb'encoding="[^"]*"')
_LENGTH: Final = re.compile(rb"(?im)^(content-length|l)[ \t]*:[ \t]*[0-9]+")
_GRANTED: Final = re.compile(rb"SIP/2\.0 200 [\s\S]*\r\nCSeq: [0-9]+ SUBSCRIBE", re.IGNORECASE)
_EXPIRES: Final = re.compile(rb"\r\nExpires: [0-9]+", re.IGNORECASE)
_SUM_NUM: Final = re.compile(rb"<SumNum>([0-9]+)</SumNum>")
_STATUS: Final = re.compile(rb"<Status>(ON|OFF)</Status>")
_TIME: Final = re.compile(rb"<((?:Start|End)Time)>([^<]+)</")
_NAMED: Final = re.compile(rb"<(/?)DeviceID>")


def spoil_body(content: Message, body: bytes, faults: Faults) -> bytes:
    """The body that `content` was encoded to, as this peer writes it."""
    named = faults.named
    if not named:
        return body
    if Fault.UTF8_AS_GB2312 in named:
        body = body.decode("gb18030").encode("utf-8")
        body = _DECLARED.sub(b'encoding="GB2312"', body)
    if Fault.GB2312_AS_UTF8 in named:
        body = _DECLARED.sub(b'encoding="UTF-8"', body)
    if isinstance(content, Catalog):
        body = _spoil_catalogue(body, named)
    if isinstance(content, RecordInfo) and Fault.RECORD_TIMES_WITH_ZONE in named:
        body = _TIME.sub(rb"<\1>\2.250+08:00</", body)
    if isinstance(content, MobilePosition) and Fault.POSITION_TARGET_ID in named:
        head, named_at, rest = body.partition(b"</DeviceID>")
        own = b"\n<TargetID>%s</TargetID>" % content.device_id.encode()
        inner = _NAMED.sub(rb"<\1TargetID>", rest)
        body = head + named_at + (own + rest if inner == rest else inner)
    if isinstance(content, Catalog | RecordInfo):
        body = _spoil_count(body, named)
    return body


def _spoil_catalogue(body: bytes, named: frozenset[Fault]) -> bytes:
    if Fault.RAW_AMPERSAND in named:
        body = body.replace(b"<Address>Simulated", b"<Address>Gate 1 & 2 <north>")
    if Fault.PARENTS_SEVERAL in named:
        body = body.replace(b"</ParentID>", b"/34020000002160000001</ParentID>")
    if Fault.STATUS_NUMBERS in named:
        body = _STATUS.sub(lambda found: b"<Status>%d</Status>" % (found[1] == b"ON"), body)
    return body


def _spoil_count(body: bytes, named: frozenset[Fault]) -> bytes:
    if Fault.SUM_NUM_TOO_LARGE in named:
        return _SUM_NUM.sub(lambda found: b"<SumNum>%d</SumNum>" % (int(found[1]) + _PROMISED_MORE), body)
    return _SUM_NUM.sub(b"", body) if Fault.SUM_NUM_MISSING in named else body


def spoil_wire(data: bytes, faults: Faults, *, datagrams: bool) -> list[bytes]:
    """A written SIP message as this peer puts it on the wire."""
    named = faults.named
    if not named:
        return [data]
    if Fault.NO_EXPIRES in named and (data.startswith(b"SUBSCRIBE ") or _GRANTED.match(data)):
        return [_EXPIRES.sub(b"", data)]
    head, gap, body = data.partition(b"\r\n\r\n")
    if not body:
        return [data]
    if datagrams and Fault.CONTENT_LENGTH_ZERO in named:
        head = _LENGTH.sub(rb"\1: 0", head)
    if datagrams and Fault.CONTENT_LENGTH_WRONG in named:
        head = _LENGTH.sub(b"Content-Length: %d" % (len(body) + 40), head)
    data = head + gap + body
    if datagrams and Fault.RAW_PIECES in named and len(data) > 2 * _PIECE_BYTES:
        return [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
    return [data]


def spoil_answer(body: bytes, faults: Faults) -> bytes:
    """The SDP of an answer: `y=` where it does not belong (trap 36), an address nobody reaches (trap 45)."""
    named = faults.named
    if Fault.Y_NOT_LAST in named:
        lines = body.splitlines(keepends=True)
        numbers = [line for line in lines if line.startswith(b"y=")]
        rest = [line for line in lines if not line.startswith(b"y=")]
        at = next(number for number, line in enumerate(rest) if line.startswith(b"m="))
        body = b"".join([*rest[:at], *numbers, *rest[at:]])
    if Fault.ANSWER_ADDRESS_WRONG in named:
        body = re.sub(rb"(?m)^(c=IN IP4) [0-9.]+", rb"\1 192.168.254.254", body)
    return body


def spoil_voice(voice: "Voice", device_id: str, faults: Faults) -> "Voice":
    """How the loudspeaker of such a device takes voices (traps 32 and 49)."""
    if Fault.BROADCAST_REFUSED in faults.named:
        voice = replace(voice, broadcast=False, talks=True)
    if Fault.BROADCAST_AS_DEVICE in faults.named:
        voice = replace(voice, caller=device_id)
    return voice


class SpoilingEndpoint(SipEndpoint):
    """A SIP endpoint whose bytes are spoilt on their way out."""

    faults: Faults = Faults()

    def _send(self, flow: Flow, data: bytes) -> None:
        for piece in spoil_wire(data, self.faults, datagrams=flow.transport == "udp"):
            super()._send(flow, piece)

    async def move(self, host: str) -> None:
        """Come from another port from now on, as behind a router that restarted."""
        for opened in self._sockets.udp.values():
            opened.close()
        self._sockets.udp.clear()
        await self.listen_udp(host, 0)
