"""Under which address peers reach us, and where a message of ours says so: Via, Contact, SDP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.message import SipRequest
from commonview.wire.sip.uri import SipUri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from commonview.wire.sip.flow import Flow

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - recognised so that they are never advertised
# RFC 3261 12.1.1, RFC 6665 4.4.1: what makes or refreshes a dialog says where to go on.
_WITH_CONTACT: Final = frozenset(("INVITE", "SUBSCRIBE", "NOTIFY"))
_CACHED_LOCAL_HOSTS: Final = 4096


class OwnContact:
    """Our own address as each peer is told it. ``public_host`` replaces the bound one everywhere."""

    def __init__(self, public_host: str, new_token: Callable[[], str]) -> None:
        self._public_host = public_host
        self._new_token = new_token
        self._local_hosts: dict[str, str] = {}

    def advertised(self, flow: Flow) -> str:
        """``host:port`` under which the peer of `flow` reaches us; never a wildcard address."""
        host = self._public_host or flow.local[0]
        if host in _WILDCARDS:
            host = self._local_host_towards(flow.peer[0])
        return f"[{host}]:{flow.local[1]}" if ":" in host else f"{host}:{flow.local[1]}"

    def _local_host_towards(self, peer_host: str) -> str:
        """Our address on the route to `peer_host`, told by a UDP socket that sends nothing."""
        known = self._local_hosts.get(peer_host)
        if known is not None:
            return known
        family = socket.AF_INET6 if ":" in peer_host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((peer_host, 9))
                host = str(probe.getsockname()[0])
            except OSError:
                host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        if len(self._local_hosts) >= _CACHED_LOCAL_HOSTS:
            self._local_hosts.clear()
        self._local_hosts[peer_host] = host
        return host

    def contact(self, user: str, flow: Flow) -> str:
        """A Contact value for `user` as seen by the peer of `flow`."""
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{user}@{self.advertised(flow)}{transport}>"

    def complete(self, request: SipRequest, flow: Flow) -> SipRequest:
        """A request with Call-ID, CSeq, tag of From and Contact, where it had none; the given one stays."""
        headers = request.headers.copy()
        if "Call-ID" not in headers:
            headers.add("Call-ID", self._new_token())
        if "CSeq" not in headers:
            headers.add("CSeq", f"1 {request.method}")
        sender = headers.get("From")
        if sender is not None and ";tag=" not in sender.lower():
            headers.set("From", f"{sender};tag={self._new_token()}")
        if request.method in _WITH_CONTACT and "Contact" not in headers and sender is not None:
            headers.add("Contact", self.contact(_user_of(sender), flow))
        return SipRequest(request.method, request.uri, headers, request.body)

    def complete_answer(
        self, request: SipRequest, flow: Flow, status: int, headers: Iterable[tuple[str, str]]
    ) -> Iterable[tuple[str, str]]:
        """The headers of an answer, with the Contact that it needs and has not."""
        if request.method not in _WITH_CONTACT or not 200 <= status < 300:
            return headers
        headers = list(headers)
        if not any(name.lower() in ("contact", "m") for name, _ in headers):
            headers.append(("Contact", self.contact(_user_of(request.uri), flow)))
        return headers


def _user_of(address: str) -> str:
    """User part of a URI or of the URI inside a name-addr; "commonview" when it has none."""
    text = address.partition("<")[2].partition(">")[0] if "<" in address else address.partition(";")[0]
    try:
        return SipUri.parse(text).user or "commonview"
    except SipParseError:
        return "commonview"
