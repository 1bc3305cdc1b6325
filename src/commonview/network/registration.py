"""What a REGISTER says, and what its answers carry (GB/T 28181-2022 9.1, 9.10.3, Annex I). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.wire.charset import readable
from commonview.wire.gbid import is_usable
from commonview.wire.sip.date import write_date

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.wire.sip.headers import Headers

GB_VERSION = "3.0"
"""X-GB-Ver of GB/T 28181-2022 (Annex I)."""

DEFAULT_EXPIRES_S = 86_400
MAX_EXPIRES_S = 7 * 86_400

_ID_DIGITS = 20
_USER = re.compile(r"<?\s*sips?:([^@:;>\s]{1,64})(?::[^@>\s]{0,64})?@", re.IGNORECASE)
_EXPIRES_PARAM = re.compile(r";\s*expires\s*=\s*\"?([0-9]{1,10})", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,10}")
_VERSION = re.compile(r"[0-9]\.[0-9]")


class RegisterRefused(Exception):
    """The REGISTER cannot be understood; ``status`` and ``reason`` answer it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """``expires_s`` 0 asks to unregister. ``contact`` is answered as it came, with what was granted."""

    device_id: str
    expires_s: int
    contact: str | None
    user_agent: str
    gb_version: str | None


def user_of(address: str | None) -> str | None:
    """The user part of a From or To value, ``None`` when there is none. Devices write many odd forms."""
    if address is None:
        return None
    found = _USER.search(address)
    return found.group(1) if found is not None else None


def read_register(headers: Headers) -> RegisterRequest:
    """Understand a REGISTER.

    Raises:
        RegisterRefused: no usable device id, a registration for somebody else, or a malformed Expires.
    """
    first = headers.first
    device_id = _registering(first.get("From"), first.get("To"))
    contact = first.get("Contact")
    expires_s = _expires(first.get("Expires"), contact)
    if contact == "*" and expires_s:
        raise RegisterRefused(400, "Contact * only unregisters")  # RFC 3261 10.3 step 6
    version = first.get("X-GB-Ver", "")
    return RegisterRequest(
        device_id=device_id,
        expires_s=expires_s,
        contact=_granted(contact, expires_s),
        user_agent=readable(first.get("User-Agent", ""), 64),
        gb_version=version if _VERSION.fullmatch(version) else None,
    )


def _registering(sender: str | None, target: str | None) -> str:
    """Who registers. Some stacks put the registrar's domain where To should repeat the device (gb28181-rs
    0.14, sb-im/sbgb28181): what is no 20-digit id names nobody else, and From stands."""
    device_id, registered = user_of(sender), user_of(target)
    domain_only = registered is None or (registered.isdigit() and len(registered) < _ID_DIGITS)
    if domain_only and device_id is not None and len(device_id) == _ID_DIGITS:
        registered = device_id
    if registered is None or not is_usable(registered):
        raise RegisterRefused(400, "To has no usable device id")
    if device_id != registered:
        raise RegisterRefused(403, "From and To differ")
    return registered


def _expires(header: str | None, contact: str | None) -> int:
    # RFC 3261 10.2.1.1: the parameter of the Contact goes before the header.
    if contact is not None and (found := _EXPIRES_PARAM.search(contact)) is not None:
        return min(int(found.group(1)), MAX_EXPIRES_S)
    if header is None:
        return DEFAULT_EXPIRES_S
    if _SECONDS.fullmatch(header) is None:
        raise RegisterRefused(400, "malformed Expires")
    return min(int(header), MAX_EXPIRES_S)


def _granted(contact: str | None, expires_s: int) -> str | None:
    """The Contact to answer: a device that reads its parameter must not believe in a longer stay."""
    if contact is None or _EXPIRES_PARAM.search(contact) is None:
        return contact
    return _EXPIRES_PARAM.sub(f";expires={expires_s}", contact)


def date_header(now: datetime) -> str:
    """The Date of a 200 to REGISTER: Beijing time, milliseconds, no zone (9.10.3)."""
    return write_date(now)
