"""Exchanges on a SIP endpoint as its users see them, and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.transaction import ClientTransaction
from commonview.wire.sip.transaction import ServerTransaction as CoreTransaction


class SipEndpointError(Exception):
    """Root of what sending a request may raise."""


class SipTimeout(SipEndpointError):
    """No final response, or no ACK, in time."""


class FlowClosed(SipEndpointError):
    """The TCP connection the request was to travel on is gone, or the endpoint is closed."""


class SipConnectError(SipEndpointError):
    """No TCP connection to the peer."""


class Exchanges(Protocol):
    """What an exchange needs of its endpoint."""

    def answer(
        self,
        tx: CoreTransaction,
        status: int,
        reason: str | None,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Answer a request."""

    def acknowledge(self, tx: ClientTransaction, body: bytes, content_type: str) -> None:
        """Send the ACK of a 2xx."""

    def watch(self, future: asyncio.Future[SipResponse] | asyncio.Future[SipRequest]) -> None:
        """Let the closing of the endpoint fail this future."""


class ServerTransaction:
    """A request to us. Answer it now or later, once.

    ``dialog`` is the dialog the request belongs to, or, for an INVITE answered with 2xx, the one it made.
    ``cancelled`` turns true, and ``on_cancel`` is called, when the peer withdraws its INVITE (487 is sent by
    itself).
    """

    __slots__ = ("_ack", "_core_tx", "_endpoint", "flow", "on_cancel", "request")

    def __init__(self, endpoint: Exchanges, core_tx: CoreTransaction) -> None:
        self._endpoint = endpoint
        self._core_tx = core_tx
        self._ack: asyncio.Future[SipRequest] | None = None
        self.request: SipRequest = core_tx.request
        self.flow: Flow = core_tx.flow
        self.on_cancel: Callable[[], None] | None = None

    @property
    def dialog(self) -> Dialog | None:
        """The dialog, if any."""
        return self._core_tx.dialog

    @property
    def cancelled(self) -> bool:
        """Whether the peer sent CANCEL."""
        return self._core_tx.cancelled

    @property
    def answered(self) -> bool:
        """Whether a final answer was given."""
        return self._core_tx.answered

    def respond(
        self,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer with `status`.

        Via, From, To (with tag), Call-ID, CSeq and Content-Length are filled in, Contact too for a 2xx to
        INVITE. A second final answer, or one after 32 s, is not sent and counted. Raises ValueError for a
        header value with a line break.
        """
        self._endpoint.answer(self._core_tx, status, reason, headers, body)

    async def wait_ack(self) -> SipRequest:
        """After a 2xx to INVITE, which is repeated until then: the ACK. Raises SipTimeout, FlowClosed."""
        future = self._ack
        if future is None:
            future = self._ack = asyncio.get_running_loop().create_future()
            self._endpoint.watch(future)
        return await asyncio.shield(future)

    def acknowledged(self, request: SipRequest) -> None:
        """The ACK came (called by the endpoint)."""
        if self._ack is None:
            self._ack = asyncio.get_running_loop().create_future()
        if not self._ack.done():
            self._ack.set_result(request)

    def failed(self, error: SipEndpointError) -> None:
        """No ACK will come (called by the endpoint)."""
        if self._ack is not None and not self._ack.done():
            self._ack.set_exception(error)


class InviteResult:
    """Final answer to an INVITE. ``dialog`` is None unless it is a 2xx."""

    __slots__ = ("_core_tx", "_endpoint", "response")

    def __init__(self, endpoint: Exchanges, core_tx: ClientTransaction, response: SipResponse) -> None:
        self._endpoint = endpoint
        self._core_tx = core_tx
        self.response = response

    @property
    def dialog(self) -> Dialog | None:
        """The dialog a 2xx made."""
        return self._core_tx.dialog

    async def ack(self, body: bytes = b"", content_type: str = "application/sdp") -> None:
        """Acknowledge a 2xx; repeated by itself whenever the peer repeats its answer.

        Raises ValueError when the answer was no 2xx.
        """
        self._endpoint.acknowledge(self._core_tx, body, content_type)


class RequestWaiter:
    """What a client transaction of ours reports to: the final response, and provisional ones on the way."""

    __slots__ = ("future", "on_provisional")

    def __init__(
        self, future: asyncio.Future[SipResponse], on_provisional: Callable[[SipResponse], None] | None
    ) -> None:
        self.future = future
        self.on_provisional = on_provisional
