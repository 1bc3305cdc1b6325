"""Which desk a SIP request goes to, and the proper answer to those that nobody here serves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonview.network.calls import Calls
    from commonview.network.messages import MessageDesk
    from commonview.network.registrar import Registrar
    from commonview.network.sip_endpoint import ServerTransaction

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, REGISTER"


class Router:
    """Takes every new request of the endpoint."""

    def __init__(self, registrar: Registrar, desk: MessageDesk, calls: Calls) -> None:
        self._registrar = registrar
        self._desk = desk
        self._calls = calls
        self.counters: Counter[str] = Counter()

    def on_request(self, transaction: ServerTransaction) -> None:
        """Hand a request on, or answer it."""
        method = transaction.request.method
        if method == "MESSAGE":
            self._desk.on_message(transaction)
        elif method == "REGISTER":
            self._registrar.on_register(transaction)
        elif method == "BYE":
            if not self._calls.on_bye(transaction):
                self.counters["bye_unknown"] += 1
                transaction.respond(481)
        elif method == "OPTIONS":
            transaction.respond(200, headers=(("Allow", ALLOW),))
        elif method in ("NOTIFY", "INFO", "UPDATE"):
            self.counters["request_outside_dialog"] += 1
            transaction.respond(481)
        else:
            self.counters["method_refused"] += 1
            transaction.respond(405, headers=(("Allow", ALLOW),))
