"""Monitor-User-Identity: who wants the picture, through every domain it crosses (GB/T 28181-2022 8.3). Pure.

    Monitor-User-Identity: <gateway id>-<gateway id>-<user id>-<attribute>-<attribute>

The gateway of the domain where the user sits writes its id, the user's and what it tells of the user, joined
by "-"; each further domain puts its own gateway id in front. Gateway ids have type code 200 to 211 (Annex E),
so that the first id that is none of those is the user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from commonview.wire.sip.errors import SipParseError

MAX_CHARS: Final = 1024
_ID: Final = re.compile(r"[0-9]{20}")
_PART: Final = re.compile(r"[^\s\-\x00-\x1f\x7f]{1,128}")
_GATEWAY_TYPES: Final = range(200, 212)


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """``gateways`` from the nearest to the user's own. ``attributes`` are opaque."""

    gateways: tuple[str, ...]
    user_id: str
    attributes: tuple[str, ...] = ()

    @staticmethod
    def parse(value: str) -> UserIdentity:
        """Parse a value. Raises SipParseError(400)."""
        if len(value) > MAX_CHARS:
            raise SipParseError(400, "Monitor-User-Identity too long")
        parts = tuple(part.strip() for part in value.strip().strip('"').split("-"))
        if not all(_PART.fullmatch(part) for part in parts):
            raise SipParseError(400, "malformed Monitor-User-Identity")
        count = 0
        while count < len(parts) and is_gateway(parts[count]):
            count += 1
        if not count or count == len(parts):
            raise SipParseError(400, "Monitor-User-Identity names no gateway or no user")
        return UserIdentity(parts[:count], parts[count], parts[count + 1 :])

    def encode(self) -> str:
        """The header value. Raises ValueError for what it cannot carry."""
        parts = (*self.gateways, self.user_id, *self.attributes)
        if not all(_PART.fullmatch(part) for part in parts):
            raise ValueError("a part of Monitor-User-Identity is empty or has white space or a hyphen")
        value = "-".join(parts)
        if len(value) > MAX_CHARS:
            raise ValueError("Monitor-User-Identity is too long")
        return value

    def through(self, gateway_id: str) -> UserIdentity:
        """As the domain of `gateway_id` passes it on. Raises ValueError when it has been there before."""
        if gateway_id in self.gateways:
            raise ValueError("Monitor-User-Identity comes back to a domain it has crossed")
        return replace(self, gateways=(gateway_id, *self.gateways))


def is_gateway(part: str) -> bool:
    """Whether this is the id of a server or gateway by its type code."""
    return _ID.fullmatch(part) is not None and int(part[10:13]) in _GATEWAY_TYPES
