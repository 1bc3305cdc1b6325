"""The SIP requests the platform sends, and the address it tells devices to send media to."""

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
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from commonview.wire.manscdp import Message
    from commonview.wire.sip.flow import Flow
    from commonview.wire.version import GbVersion


def advertised_host(public: str, bound: str, peer: str) -> str:
    """The address to tell ``peer``: the public one when set, never an unspecified one.

    Devices refuse an SDP that says 0.0.0.0 (WVP#28), so a server bound to every address tells each
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
class Platform:
    """Who we are in SIP. Via, Contact and tags are the endpoint's to fill in."""

    sip_id: str
    domain: str

    def _request(self, method: str, target_id: str, flow: Flow, body: bytes, content_type: str) -> SipRequest:
        uri = f"sip:{target_id}@{host_port(*flow.peer)}"
        headers = Headers(
            (
                ("From", f"<sip:{self.sip_id}@{self.domain}>"),
                ("To", f"<{uri}>"),
                ("Call-ID", secrets.token_hex(16)),
                ("Content-Type", content_type),
            )
        )
        return SipRequest(method, uri, headers, body)

    def message(
        self,
        device_id: str,
        flow: Flow,
        message: Message,
        charset: str,
        version: GbVersion = GbVersion.V2022,
    ) -> SipRequest:
        """A MESSAGE that carries a MANSCDP query or command, as a peer of that edition can read it.

        Raises `ManscdpError` when it cannot be written so.
        """
        return self._request("MESSAGE", device_id, flow, encode(message, charset, version), MANSCDP)

    def subscribe(
        self, device_id: str, flow: Flow, message: Message, charset: str, version: GbVersion
    ) -> SipRequest:
        """A SUBSCRIBE outside any dialog; Event and Expires are the subscriber's to fill in (Annex N)."""
        return self._request("SUBSCRIBE", device_id, flow, encode(message, charset, version), MANSCDP)

    def invite(self, channel_gb_id: str, flow: Flow, offer: bytes, subject: str) -> SipRequest:
        """A media INVITE with its Subject (Annex L)."""
        request = self._request("INVITE", channel_gb_id, flow, offer, SDP)
        request.headers.add("Subject", subject)
        return request
