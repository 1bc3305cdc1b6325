"""SIP over real sockets: the asyncio shell around `commonview.wire.sip.core`, for platform and simulator alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest, SipResponse

__all__ = [
    "Flow",
    "FlowClosed",
    "InviteResult",
    "ServerTransaction",
    "SipConnectError",
    "SipCounters",
    "SipEndpoint",
    "SipEndpointError",
    "SipTimeout",
]


class SipEndpointError(Exception):
    """Root of what sending a request may raise."""


class SipTimeout(SipEndpointError):
    """No final response in time."""


class FlowClosed(SipEndpointError):
    """The TCP connection the request was to travel on is gone, or the endpoint is closed."""


class SipConnectError(SipEndpointError):
    """No TCP connection to the peer."""


@dataclass(slots=True)
class SipCounters:
    """What the endpoint saw and did since it started; monotonic."""

    received: int = 0
    sent: int = 0
    retransmissions: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    parse_errors: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    responses: dict[int, int] = field(default_factory=dict)


class ServerTransaction:
    """A request that awaits an answer, or a MESSAGE/INVITE/... of ours to answer once.

    ``dialog`` is set for requests inside a dialog and, for an INVITE, once it was answered with 2xx.
    """

    request: SipRequest
    flow: Flow
    dialog: Dialog | None
    cancelled: bool
    on_cancel: Callable[[], None] | None

    def respond(
        self,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer.

        Via, From, To (with tag), Call-ID, CSeq, Content-Length are filled in; a second final is ignored.
        """
        raise RuntimeError("being built")

    async def wait_ack(self) -> SipRequest:
        """After a 2xx to INVITE: the ACK. Raises SipTimeout when none came in 32 s."""
        raise RuntimeError("being built")


class InviteResult:
    """Final answer to an INVITE. ``dialog`` is None unless it is a 2xx."""

    response: SipResponse
    dialog: Dialog | None

    async def ack(self, body: bytes = b"", content_type: str = "application/sdp") -> None:
        """Acknowledge a 2xx; repeated by itself whenever the peer repeats its answer."""
        raise RuntimeError("being built")


class SipEndpoint:
    """One SIP endpoint: any number of UDP and TCP listeners, one transaction layer."""

    counters: SipCounters

    def __init__(
        self,
        *,
        on_request: Callable[[ServerTransaction], None],
        on_flow_closed: Callable[[Flow], None] | None = None,
        user_agent: str = "Commonview",
    ) -> None:
        raise RuntimeError("being built")

    async def listen_udp(self, host: str, port: int) -> int:
        """Receive on UDP; returns the bound port (pass 0 for any). Raises OSError."""
        raise RuntimeError("being built")

    async def listen_tcp(self, host: str, port: int) -> int:
        """Accept on TCP; returns the bound port (pass 0 for any). Raises OSError."""
        raise RuntimeError("being built")

    async def connect_tcp(self, host: str, port: int) -> Flow:
        """Open a TCP connection. Raises SipConnectError."""
        raise RuntimeError("being built")

    def udp_flow(self, host: str, port: int) -> Flow:
        """The UDP flow from our first UDP listener to a numeric address."""
        raise RuntimeError("being built")

    async def request(self, request: SipRequest, flow: Flow, *, timeout_s: float = 32) -> SipResponse:
        """Send a non-INVITE and return its final response. Raises SipTimeout, FlowClosed."""
        raise RuntimeError("being built")

    async def invite(
        self,
        request: SipRequest,
        flow: Flow,
        *,
        timeout_s: float,
        on_provisional: Callable[[SipResponse], None] | None = None,
    ) -> InviteResult:
        """Send an INVITE.

        ACK of a refusal is automatic. Cancelling the task, or the timeout, sends CANCEL.
        """
        await asyncio.sleep(0)
        raise RuntimeError("being built")

    async def close(self) -> None:
        """Close listeners and connections; pending requests raise FlowClosed."""
        raise RuntimeError("being built")
