"""Building the requests a camera sends outside dialogs: REGISTER and MESSAGE (GB/T 28181-2022 9.1, 9.6)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from commonview.simulator.faults import Fault
from commonview.simulator.settings import CameraSettings, Faults
from commonview.simulator.spoil import spoil_body
from commonview.wire import manscdp
from commonview.wire.sdp import CONTENT_TYPE as SDP
from commonview.wire.sip.digest import Challenge, answer
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from commonview.wire.version import HEADER, GbVersion


@dataclass(slots=True)
class RequestWriter:
    """Writes requests of one camera; keeps Call-ID and CSeq of its registration."""

    camera: CameraSettings
    faults: Callable[[], Faults] = Faults
    _call_id: str = field(default_factory=lambda: secrets.token_hex(12))
    _tag: str = field(default_factory=lambda: secrets.token_hex(6))
    _register_cseq: int = 0
    _cseq: int = 0
    _sn: int = 0

    def next_sn(self) -> int:
        """A serial number for the next MANSCDP message."""
        self._sn += 1
        return self._sn

    def contact(self, flow: Flow) -> str:
        """Where the platform reaches this camera."""
        host, port = flow.local
        if Fault.UNSPECIFIED_ADDRESS in self.faults().named:
            host = "0.0.0.0"  # noqa: S104 - what trap 15 is about
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{self.camera.device_id}@{_bracketed(host)}:{port}{transport}>"

    def register(self, flow: Flow, expires_s: int, challenge: Challenge | None, password: str) -> SipRequest:
        """REGISTER with the Authorization that answers `challenge`, if there is one."""
        server, uri = self.camera.server, self._uri()
        own = f"<sip:{self.camera.device_id}@{server.domain}>"
        self._register_cseq += 1
        headers = Headers(
            [
                ("From", f"{own};tag={self._tag}"),
                ("To", own),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._register_cseq} REGISTER"),
                ("Contact", self.contact(flow)),
                ("Expires", str(expires_s)),
            ]
        )
        if self.camera.version >= GbVersion.V2022:  # Annex I is new there
            headers.add(HEADER, self.camera.version.header)
        if challenge is not None:
            credentials = answer(
                challenge,
                username=self.camera.device_id,
                password=password,
                method="REGISTER",
                uri=uri,
                cnonce=secrets.token_hex(8),
            )
            headers.add("Authorization", credentials.encode())
        return SipRequest("REGISTER", uri, headers)

    def invite(self, caller_id: str, called_id: str, offer: bytes, subject: str) -> SipRequest:
        """INVITE that calls the platform: what follows a broadcast (9.12)."""
        server = self.camera.server
        self._cseq += 1
        headers = Headers(
            [
                ("From", f"<sip:{caller_id}@{server.domain}>;tag={secrets.token_hex(6)}"),
                ("To", f"<sip:{called_id}@{server.domain}>"),
                ("Call-ID", secrets.token_hex(12)),
                ("CSeq", f"{self._cseq} INVITE"),
                ("Subject", subject),
                ("Content-Type", SDP),
            ]
        )
        return SipRequest("INVITE", f"sip:{called_id}@{server.domain}", headers, offer)

    def _uri(self) -> str:
        server = self.camera.server
        if Fault.BARE_DOMAIN_URI in self.faults().named:
            return f"sip:{server.domain}"
        return f"sip:{server.server_id}@{server.domain}"

    def body(self, content: manscdp.Message) -> bytes:
        """MANSCDP as this camera writes it."""
        version = self.camera.version
        faults = self.faults()
        if isinstance(content, manscdp.MobilePosition) and Fault.POSITION_FLAT in faults.named:
            version = GbVersion.V2016
        return spoil_body(content, manscdp.encode(content, self.camera.charset, version), faults)

    def message(self, content: manscdp.Message) -> SipRequest:
        """MESSAGE carrying MANSCDP."""
        request = self.empty_message()
        request.headers.add("Content-Type", manscdp.CONTENT_TYPE)
        return SipRequest("MESSAGE", request.uri, request.headers, self.body(content))

    def empty_message(self) -> SipRequest:
        """MESSAGE without a body."""
        server = self.camera.server
        self._cseq += 1
        headers = Headers(
            [
                ("From", f"<sip:{self.camera.device_id}@{server.domain}>;tag={secrets.token_hex(6)}"),
                ("To", f"<sip:{server.server_id}@{server.domain}>"),
                ("Call-ID", secrets.token_hex(12)),
                ("CSeq", f"{self._cseq} MESSAGE"),
            ]
        )
        return SipRequest("MESSAGE", self._uri(), headers)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
