"""Building the requests a camera sends outside dialogs: REGISTER and MESSAGE (GB/T 28181-2022 9.1, 9.6)."""

import secrets
from dataclasses import dataclass, field

from commonview.simulator.settings import CameraSettings
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
        transport = ";transport=tcp" if flow.transport == "tcp" else ""
        return f"<sip:{self.camera.device_id}@{_bracketed(host)}:{port}{transport}>"

    def register(self, flow: Flow, expires_s: int, challenge: Challenge | None, password: str) -> SipRequest:
        """REGISTER with the Authorization that answers `challenge`, if there is one."""
        server = self.camera.server
        uri = f"sip:{server.server_id}@{server.domain}"
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

    def message(self, content: manscdp.Message) -> SipRequest:
        """MESSAGE carrying MANSCDP."""
        server = self.camera.server
        self._cseq += 1
        headers = Headers(
            [
                ("From", f"<sip:{self.camera.device_id}@{server.domain}>;tag={secrets.token_hex(6)}"),
                ("To", f"<sip:{server.server_id}@{server.domain}>"),
                ("Call-ID", secrets.token_hex(12)),
                ("CSeq", f"{self._cseq} MESSAGE"),
                ("Content-Type", manscdp.CONTENT_TYPE),
            ]
        )
        body = manscdp.encode(content, self.camera.charset, self.camera.version)
        return SipRequest("MESSAGE", f"sip:{server.server_id}@{server.domain}", headers, body)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
