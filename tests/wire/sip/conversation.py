"""What the SIP tests share: message builders and a core driven by hand."""

from collections.abc import Iterable

from commonview.wire.sip.context import Limits, Output, RequestReceived, ResponseReceived, Send
from commonview.wire.sip.core import SipCore
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest, SipResponse, parse_datagram
from commonview.wire.sip.transaction import ServerTransaction

SERVER = "34020000002000000001"
DEVICE = "34020000001320000001"
UDP = Flow("udp", ("192.0.2.10", 5060), ("192.0.2.1", 5060))
OTHER_UDP = Flow("udp", ("192.0.2.99", 5060), ("192.0.2.1", 5060))
TCP = Flow("tcp", ("192.0.2.10", 40000), ("192.0.2.1", 5060), 7)


def request_bytes(
    method: str = "MESSAGE",
    *,
    branch: str = "z9hG4bKone",
    call_id: str = "call-1",
    cseq: int = 1,
    from_tag: str = "caller",
    to_tag: str = "",
    lines: Iterable[str] = (),
    body: bytes = b"<Notify/>",
    via: str = "",
) -> bytes:
    """A request from the camera at 192.0.2.10."""
    via = via or f"SIP/2.0/UDP 192.0.2.10:5060;rport;branch={branch}"
    to_value = f"<sip:{SERVER}@3402000000>" + (f";tag={to_tag}" if to_tag else "")
    head = [
        f"{method} sip:{SERVER}@3402000000 SIP/2.0",
        f"Via: {via}",
        f"From: <sip:{DEVICE}@3402000000>;tag={from_tag}",
        f"To: {to_value}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *lines,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def invite_bytes(**changes: object) -> bytes:
    """An INVITE with SDP."""
    options: dict[str, object] = {"lines": ("Content-Type: application/sdp",), "body": b"v=0\r\n"}
    return request_bytes("INVITE", **(options | changes))  # type: ignore[arg-type]


def outgoing(method: str, *, body: bytes = b"", cseq: int = 1, call_id: str = "out-1") -> SipRequest:
    """A request of ours to the camera."""
    request = SipRequest(method, f"sip:{DEVICE}@192.0.2.10:5060", body=body)
    request.headers.add("From", f"<sip:{SERVER}@3402000000>;tag=ours")
    request.headers.add("To", f"<sip:{DEVICE}@3402000000>")
    request.headers.add("Call-ID", call_id)
    request.headers.add("CSeq", f"{cseq} {method}")
    return request


def answer_to(
    request: SipRequest, status: int, *, to_tag: str = "theirs", lines: Iterable[tuple[str, str]] = ()
) -> bytes:
    """The camera's answer to a request of ours."""
    response = SipResponse(status, "")
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        value = request.headers.get(name) or ""
        if name == "To" and to_tag and "tag=" not in value:
            value += f";tag={to_tag}"
        response.headers.add(name, value)
    for name, value in lines:
        response.headers.add(name, value)
    return response.encode()


def fixed_random(count: int) -> bytes:
    """Bytes that differ from position to position but not from run to run."""
    return bytes((index * 73 + index // 256) % 256 for index in range(count))


class Conversation:
    """A core and its clock; every step returns what came out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.core = SipCore(limits=limits, random=fixed_random)
        self.now = 100.0

    def hear(self, data: bytes, flow: Flow = UDP) -> list[Output]:
        """One datagram, or one message of a stream."""
        self.core.feed(self.now, flow, data)
        return self.core.drain()

    def wait(self, seconds: float) -> list[Output]:
        """Let time pass, waking exactly when the core asks for it."""
        end = self.now + seconds
        outputs: list[Output] = []
        while (due := self.core.wake_at()) is not None and due <= end:
            self.now = max(self.now, due)
            self.core.advance(self.now)
            outputs += self.core.drain()
        self.now = end
        return outputs

    def respond(self, tx: ServerTransaction, status: int, **options: object) -> list[Output]:
        """Answer as the user of the core."""
        self.core.respond(self.now, tx, status, **options)  # type: ignore[arg-type]
        return self.core.drain()


def sent(outputs: list[Output]) -> list[SipRequest | SipResponse]:
    """The messages among outputs, parsed."""
    return [parse_datagram(output.data) for output in outputs if isinstance(output, Send)]


def statuses(outputs: list[Output]) -> list[int]:
    """Status codes of the responses sent."""
    return [message.status for message in sent(outputs) if isinstance(message, SipResponse)]


def methods(outputs: list[Output]) -> list[str]:
    """Methods of the requests sent."""
    return [message.method for message in sent(outputs) if isinstance(message, SipRequest)]


def received(outputs: list[Output]) -> list[ServerTransaction]:
    """Requests handed to the user."""
    return [output.tx for output in outputs if isinstance(output, RequestReceived)]


def answers(outputs: list[Output]) -> list[int]:
    """Statuses handed to the user."""
    return [output.response.status for output in outputs if isinstance(output, ResponseReceived)]
