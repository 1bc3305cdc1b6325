"""What may be set of a superior."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final

from commonview.network.cascade.errors import SuperiorInvalid

if TYPE_CHECKING:
    from commonview.network.cascade.model import SuperiorSettings

_DOMAIN: Final = re.compile(r"[0-9A-Za-z.:_-]{1,64}")
_HOST: Final = re.compile(r"[0-9A-Za-z.:-]{1,253}")
GB_ID: Final = re.compile(r"[0-9]{20}")
NAME_CHARS: Final = 128
_SECRET_CHARS: Final = 128


def check_settings(settings: SuperiorSettings, password: str) -> None:
    """Refuse what cannot be. Raises `SuperiorInvalid` naming the field."""
    checks: tuple[tuple[str, bool, str], ...] = (
        ("name", 0 < len(settings.name.strip()) <= NAME_CHARS and settings.name.isprintable(), "a name"),
        ("server_id", GB_ID.fullmatch(settings.server_id) is not None, "20 digits"),
        ("server_domain", _DOMAIN.fullmatch(settings.server_domain) is not None, "a SIP domain"),
        ("local_id", GB_ID.fullmatch(settings.local_id) is not None, "20 digits"),
        ("local_id", settings.local_id != settings.server_id, "another id than the superior's"),
        ("host", _is_host(settings.host), "an address or a host name"),
        ("port", 0 < settings.port < 65536, "1 to 65535"),
        (
            "username",
            len(settings.username) <= NAME_CHARS and settings.username.isprintable(),
            "a user name",
        ),
        ("expires_s", 60 <= settings.expires_s <= 7 * 86_400, "60 to 604800 seconds"),
        ("keepalive_s", 1 <= settings.keepalive_s <= 3600, "1 to 3600 seconds"),
        ("password", len(password) <= _SECRET_CHARS and password.isprintable(), "at most 128 characters"),
    )
    for field, holds, wanted in checks:
        if not holds:
            raise SuperiorInvalid(f"{field} must be {wanted}", field=field)


def _is_host(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return not ipaddress.ip_address(host).is_unspecified
    return _HOST.fullmatch(host) is not None


def registered_as(settings: SuperiorSettings) -> tuple[str, int, str, str]:
    """Where we register, and as whom: no two superiors share it."""
    return settings.host, settings.port, settings.server_id, settings.local_id
