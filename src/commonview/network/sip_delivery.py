"""What the SIP core has found, brought to whom it concerns: asker, owner of a dialog, or handler of requests.

A fault in any of them is logged with the first line of the message, counted, and ends nothing but that
message.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from commonview.network.sip_exchange import (
    Exchanges,
    FlowClosed,
    RequestWaiter,
    ServerTransaction,
    SipEndpointError,
    SipTimeout,
)
from commonview.wire.sip.context import (
    AckReceived,
    Cancelled,
    Output,
    RequestReceived,
    ResponseReceived,
    Send,
    TransactionLost,
    TransactionTimeout,
)
from commonview.wire.sip.message import SipRequest, SipResponse, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.network.sip_dialogs import DialogOwners
    from commonview.wire.sip.core import SipCore
    from commonview.wire.sip.transaction import ClientTransaction
    from commonview.wire.sip.transaction import ServerTransaction as CoreTransaction

_log = logging.getLogger(__name__)


class Integrity(Protocol):
    """Checks and signs requests; see `sip_integrity`."""

    def admits(self, transaction: ServerTransaction, /) -> bool:
        """Whether a request may be handled; answered if not."""
        ...

    def sign(self, request: SipRequest, /) -> None:
        """Sign a request of ours in place."""
        ...


class Delivering(Exchanges, Protocol):
    """The endpoint, as far as delivery needs it."""

    dialogs: DialogOwners
    integrity: Integrity | None
    monotonic: Callable[[], float]


class SipDelivery:
    """Carries the outputs of one core. ``on_request`` gets every new request that no dialog's owner takes."""

    def __init__(
        self, endpoint: Delivering, core: SipCore, on_request: Callable[[ServerTransaction], None]
    ) -> None:
        self._endpoint = endpoint
        self._core = core
        self._on_request = on_request

    def deliver(self, output: Output) -> None:
        """Bring one output to whom it concerns; raises nothing."""
        try:
            if isinstance(output, RequestReceived):
                self._new_request(output.tx)
            elif isinstance(output, ResponseReceived):
                _response(output.tx, output.response)
            elif isinstance(output, TransactionTimeout):
                _failure(output.tx, SipTimeout("no answer from the peer within 32 s"))
            elif isinstance(output, TransactionLost):
                _failure(output.tx, FlowClosed("the TCP connection was closed"))
            elif isinstance(output, AckReceived):
                if isinstance(output.tx.user, ServerTransaction):
                    output.tx.user.acknowledged(output.request)
            elif isinstance(output, Cancelled):
                user = output.tx.user
                if isinstance(user, ServerTransaction) and user.on_cancel is not None:
                    user.on_cancel()
        except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
            self.note_fault("handling", _first_line(output))

    def _new_request(self, tx: CoreTransaction) -> None:
        endpoint = self._endpoint
        user = ServerTransaction(endpoint, tx)
        if tx.is_invite:
            tx.user = user
        try:
            if endpoint.integrity is not None and not endpoint.integrity.admits(user):
                return
            owners = endpoint.dialogs
            inside = tx.dialog is not None or owners.expected
            if not (inside and owners.take(user)):
                self._on_request(user)
        except Exception:  # noqa: BLE001 - logged and counted; the loop goes on
            self.note_fault("handling", tx.request.first_line)
            if not tx.answered:
                self._core.respond(endpoint.monotonic(), tx, 500)

    def note_fault(self, doing: str, first_line: str) -> None:
        """Log and count the exception that is being handled."""
        counters = self._core.counters
        counters.events["internal error"] += 1
        if counters.accounted() < counters.received:
            counters.dropped["internal error"] += 1
        _log.exception("fault while %s a SIP message: %s", doing, printable(first_line))


def _response(tx: ClientTransaction, response: SipResponse) -> None:
    waiter = tx.user
    if not isinstance(waiter, RequestWaiter):
        return
    if response.status >= 200:
        if not waiter.future.done():
            waiter.future.set_result(response)
    elif waiter.on_provisional is not None:
        waiter.on_provisional(response)


def _failure(tx: ClientTransaction | CoreTransaction, error: SipEndpointError) -> None:
    user = tx.user
    if isinstance(user, ServerTransaction):
        user.failed(error)
    elif isinstance(user, RequestWaiter) and not user.future.done():
        user.future.set_exception(error)


def _first_line(output: Output) -> str:
    if isinstance(output, ResponseReceived):
        return output.response.first_line
    return "" if isinstance(output, Send) else output.tx.request.first_line
