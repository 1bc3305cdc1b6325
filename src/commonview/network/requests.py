"""The SIP requests the platform sends, and under which addresses it shows itself."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.wire.manscdp import CONTENT_TYPE as MANSCDP
from commonview.wire.manscdp import encode
from commonview.wire.sdp import CONTENT_TYPE as SDP
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest

if TYPE_CHECKING:
    from commonview.wire.manscdp import Message
    from commonview.wire.sip.flow import Flow


def advertised_host(public: str, bound: str, peer: str) -> str:
    """The address to tell ``peer``: the public one when set, never an unspecified one.

    Devices refuse a Contact or SDP that says 0.0.0.0 (WVP#28), so a server bound to every address tells each
    peer the one that the system would use to reach it.
    """
    if public:
        return public
    if not ipaddress.ip_address(bound).is_unspecified:
        return bound
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))  # chooses a route and a source address, sends nothing
        return str(probe.getsockname()[0])


def host_port(host: str, port: int) -> str:
    """``host:port`` as it stands in a SIP URI."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class PlatformAddress:
    """Who we are in SIP: id, domain, and the address told to peers."""

    sip_id: str
    domain: str
    public_host: str
    bound_host: str
    port: int

    def contact(self, flow: Flow) -> str:
        """Our Contact towards a peer."""
        host = advertised_host(self.public_host, self.bound_host, flow.peer[0])
        transport = ";transport=tcp" if flow.transport == "tcp" else ""
        return f"<sip:{self.sip_id}@{host_port(host, self.port)}{transport}>"

    def _request(self, method: str, target_id: str, flow: Flow, body: bytes, content_type: str) -> SipRequest:
        uri = f"sip:{target_id}@{host_port(*flow.peer)}"
        headers = Headers(
            (
                ("Max-Forwards", "70"),
                ("From", f"<sip:{self.sip_id}@{self.domain}>;tag={secrets.token_hex(8)}"),
                ("To", f"<{uri}>"),
                ("Call-ID", secrets.token_hex(16)),
                ("CSeq", f"1 {method}"),
                ("Content-Type", content_type),
            )
        )
        return SipRequest(method, uri, headers, body)

    def message(self, device_id: str, flow: Flow, message: Message, charset: str) -> SipRequest:
        """A MESSAGE that carries a MANSCDP query or command."""
        return self._request("MESSAGE", device_id, flow, encode(message, charset), MANSCDP)

    def invite(self, channel_gb_id: str, flow: Flow, offer: bytes, subject: str) -> SipRequest:
        """A media INVITE with its Subject (Annex L)."""
        request = self._request("INVITE", channel_gb_id, flow, offer, SDP)
        request.headers.add("Contact", self.contact(flow))
        request.headers.add("Subject", subject)
        return request
