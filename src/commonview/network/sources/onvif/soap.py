"""SOAP 1.2 as ONVIF uses it, with the UsernameToken of WS-Security (ONVIF Core 5.12.1)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from commonview.network.sources.onvif.xml import Node, XmlRefused, read

if TYPE_CHECKING:
    from commonview.network.sources.exchange import Credentials

ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
PTZ: Final = "http://www.onvif.org/ver20/ptz/wsdl"
EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
SCHEMA: Final = "http://www.onvif.org/ver10/schema"
NOTIFICATION: Final = "http://docs.oasis-open.org/wsn/b-2"
ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_TOKEN: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"  # noqa: S105
_BASE64: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)
_FAULT_CHARS: Final = 200


class Fault(Exception):
    """A SOAP fault: the last part of its innermost subcode, and its reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """Base64(SHA-1(nonce + created + password)), as the profile demands it."""
    digest = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def security_header(who: Credentials, device_time: datetime, nonce: bytes | None = None) -> str:
    """The UsernameToken, by the device's own clock: one that is wrong would refuse ours."""
    nonce = secrets.token_bytes(16) if nonce is None else nonce
    created = device_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f'<wsse:Security xmlns:wsse="{_WSSE}" xmlns:wsu="{_WSU}"><wsse:UsernameToken>'
        f"<wsse:Username>{escape(who.username)}</wsse:Username>"
        f'<wsse:Password Type="{_TOKEN}#PasswordDigest">{password_digest(nonce, created, who.password)}'
        f"</wsse:Password>"
        f'<wsse:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</wsse:Nonce>'
        f"<wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )


def envelope(body: str, header: str = "") -> bytes:
    """A message around a body that is XML already."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="{ENVELOPE}" xmlns:tt="{SCHEMA}" xmlns:wsa="{ADDRESSING}">'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def open_envelope(data: bytes) -> Node:
    """The first element of the body. Raises `Fault`, or `XmlRefused` for what is no SOAP."""
    root = read(data)
    body = root.find("Body")
    if root.name != "Envelope" or body is None or not body.children:
        raise XmlRefused("not a SOAP message")
    answer = body.children[0]
    if answer.name == "Fault":
        raise _fault(answer)
    return answer


def _fault(node: Node) -> Fault:
    codes = [one.text for one in node.walk() if one.name == "Value" and one.text]
    reason = node.value("Reason", "Text") or node.value("faultstring")
    code = codes[-1] if codes else node.value("faultcode")
    printable = "".join(character for character in reason if character.isprintable())
    return Fault(code.rpartition(":")[2][:64], printable[:_FAULT_CHARS])


def read_time(node: Node) -> datetime | None:
    """`UTCDateTime` of GetSystemDateAndTime; None when it is missing or no time."""
    utc = node.find("SystemDateAndTime", "UTCDateTime")
    if utc is None:
        return None
    try:
        year, month, day = (int(utc.value("Date", part)) for part in ("Year", "Month", "Day"))
        hour, minute, second = (int(utc.value("Time", part)) for part in ("Hour", "Minute", "Second"))
        # A leap second is told as 60.
        return datetime(year, month, day, hour, minute, tzinfo=UTC) + timedelta(
            seconds=min(max(second, 0), 60)
        )
    except ValueError:
        return None


def moment(text: str) -> datetime | None:
    """An xs:dateTime as an aware time; None when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
