"""One request and its answer without sockets, and a device that knows its password."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from commonview.network.sip_endpoint import ServerTransaction
from commonview.wire.manscdp import Message, encode
from commonview.wire.sip.digest import Challenge, answer
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest

DEVICE = "34020000001110000001"
PLATFORM = "34020000002000000001"
DOMAIN = "3402000000"
PASSWORD = "correct horse"
HERE = ("192.0.2.1", 5060)


def udp(host: str = "192.0.2.10", port: int = 5060) -> Flow:
    return Flow("udp", (host, port), HERE)


@dataclass
class Answer:
    status: int
    reason: str | None
    headers: dict[str, str]
    body: bytes


@dataclass
class RecordedTransaction:
    """Stands where the endpoint's transaction stands; keeps the answers."""

    request: SipRequest
    flow: Flow
    answers: list[Answer] = field(default_factory=list)

    def respond(
        self,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        self.answers.append(Answer(status, reason, dict(headers), body))

    @property
    def answer(self) -> Answer:
        (only,) = self.answers
        return only

    def as_transaction(self) -> ServerTransaction:
        return cast(ServerTransaction, self)


def register(
    flow: Flow | None = None,
    *,
    device_id: str = DEVICE,
    expires: int = 3600,
    authorization: str | None = None,
    **more: str,
) -> RecordedTransaction:
    address = f"<sip:{device_id}@{DOMAIN}>"
    values = {
        "From": f"{address};tag=1",
        "To": address,
        "Call-ID": "c1",
        "CSeq": "1 REGISTER",
        "Contact": f"<sip:{device_id}@192.0.2.10:5060>",
        "Expires": str(expires),
        "User-Agent": "test camera",
        "X-GB-Ver": "3.0",
    }
    if authorization is not None:
        values["Authorization"] = authorization
    values.update(more)
    return RecordedTransaction(
        SipRequest("REGISTER", f"sip:{PLATFORM}@{DOMAIN}", Headers(values.items())), flow or udp()
    )


def credentials(challenge: str, *, device_id: str = DEVICE, password: str = PASSWORD) -> str:
    return answer(
        Challenge.parse(challenge),
        username=device_id,
        password=password,
        method="REGISTER",
        uri=f"sip:{PLATFORM}@{DOMAIN}",
        cnonce="0a4f113b",
    ).encode()


def message(body: Message | bytes, flow: Flow | None = None, device_id: str = DEVICE) -> RecordedTransaction:
    values = {
        "From": f"<sip:{device_id}@{DOMAIN}>;tag=2",
        "To": f"<sip:{PLATFORM}@{DOMAIN}>",
        "Call-ID": "c2",
        "CSeq": "1 MESSAGE",
        "Content-Type": "Application/MANSCDP+xml",
    }
    content = body if isinstance(body, bytes) else encode(body)
    return RecordedTransaction(
        SipRequest("MESSAGE", f"sip:{PLATFORM}@{DOMAIN}", Headers(values.items()), content), flow or udp()
    )
