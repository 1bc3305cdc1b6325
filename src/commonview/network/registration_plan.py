"""The words of a registration of ours with a superior: what is wanted, what is sent, what came back, how it
stands (GB/T 28181-2022 9.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from commonview.wire.sip.date import read_date
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.subscription import RetryTiming, read_expires
from commonview.wire.sip.uri import NameAddr, SipUri, find_param, split_list

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from commonview.wire.sip.headers import Headers

_VERSION: Final = re.compile(r"[0-9]\.[0-9]")


@dataclass(frozen=True, slots=True)
class SipServer:
    """Where to register: its id and domain go into the URIs, host, port and transport onto the wire."""

    server_id: str
    domain: str
    host: str
    port: int = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return f"sip:{self.server_id}@{self.domain}"


@dataclass(frozen=True, slots=True)
class RegistrationPlan:
    """What to keep up. ``username`` is the device id unless the superior gave another."""

    device_id: str
    password: str = field(repr=False)
    server: SipServer
    username: str = ""
    expires_s: int = 86_400
    keepalive_interval_s: float = 60.0
    keepalive_misses: int = 3
    retry: RetryTiming = RetryTiming()  # noqa: RUF009 - frozen
    reconnect_share_s: float = 5.0


class RegistrationPhase(StrEnum):
    """Where a registration of ours stands."""

    IDLE = "idle"
    REGISTERING = "registering"
    REGISTERED = "registered"
    WAITING = "waiting"
    UNREGISTERING = "unregistering"
    STOPPED = "stopped"


class RegistrationTrouble(StrEnum):
    """Why a registration of ours failed last."""

    UNANSWERED = "unanswered"
    UNREACHABLE = "unreachable"  # no connection, or its name means no address
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word, not a secret
    REFUSED = "refused"
    CHALLENGE_UNKNOWN = "challenge_unknown"  # no digest that we can compute
    REDIRECTED_IN_CIRCLES = "redirected_in_circles"
    KEEPALIVE_UNANSWERED = "keepalive_unanswered"
    KEEPALIVE_REFUSED = "keepalive_refused"
    CONNECTION_CLOSED = "connection_closed"


@dataclass(frozen=True, slots=True)
class Register:
    """Send REGISTER to `server`, with that Authorization if any; tell its `number` with what comes of it."""

    number: int
    server: SipServer
    expires_s: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SendKeepalive:
    """Send a keep-alive to `server`."""

    server: SipServer


Command = Register | SendKeepalive


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """A snapshot. ``clock_offset_s``: the superior's clock minus ours, by the Date of its last 200."""

    phase: RegistrationPhase
    server: SipServer
    redirected: bool
    status: int | None
    trouble: RegistrationTrouble | None
    granted_s: int
    failures: int
    keepalive_missed: int
    gb_version: str | None
    clock_offset_s: float | None


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """What matters of an answer to REGISTER."""

    status: int
    challenges: tuple[str, ...] = ()
    expires_s: int | None = None
    min_expires_s: int | None = None
    contact: str | None = None
    date: datetime | None = None
    gb_version: str | None = None

    @staticmethod
    def read(status: int, headers: Headers) -> RegisterAnswer:
        """Take it from the header fields; what cannot be read counts as absent."""
        version = headers.get("X-GB-Ver") or ""
        return RegisterAnswer(
            status,
            tuple(headers.get_all("WWW-Authenticate") + headers.get_all("Proxy-Authenticate")),
            read_expires(headers.get("Expires")),
            read_expires(headers.get("Min-Expires")),
            headers.get("Contact"),
            read_date(headers.get("Date")),
            version if _VERSION.fullmatch(version) else None,
        )


def read_redirect(contact: str | None, server: SipServer) -> SipServer | None:
    """The server a 302 names (9.1.2.4); None when its Contact says none."""
    try:
        address = NameAddr.parse(split_list(contact or "")[0])
        uri = SipUri.parse(address.uri)
    except (SipParseError, IndexError):
        return None
    transport = (find_param(uri.params, "transport") or server.transport).lower()
    if transport not in ("udp", "tcp", "tls") or not uri.host:
        return None
    server_id = uri.user or server.server_id
    domain = server_id[:10] if len(server_id) == 20 and server_id.isdigit() else server.domain
    return SipServer(server_id, domain, uri.host.strip("[]"), uri.port or 5060, transport)  # type: ignore[arg-type]
