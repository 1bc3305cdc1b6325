"""Who wants the picture, told to the platforms below: Monitor-User-Identity (GB/T 28181-2022 8.3). Pure.

A platform below keeps who of us looked at its cameras, as we keep it of the platforms above. Cameras are told
nothing: they have no use for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from commonview.wire.gbid import TypeCode, classify
from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.user_identity import UserIdentity

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord

HEADER: Final = "Monitor-User-Identity"

_UNFIT: Final = re.compile(r"[\s\-\x00-\x1f\x7f]")
_USER_CHARS: Final = 64


def is_platform(gb_id: str) -> bool:
    """Whether the id is a signalling server's."""
    return classify(gb_id).type == TypeCode.SIGNALLING_SERVER


def readable_user(value: str | None) -> str:
    """The user a superior names; what cannot be read is no reason to refuse, and names nobody."""
    if value is None:
        return ""
    try:
        return UserIdentity.parse(value).encode()
    except (SipParseError, ValueError):
        return ""


def own_user(record: DeviceRecord, platform_id: str, user: str) -> tuple[tuple[str, str], ...]:
    """The header that names a user of this house to a platform; none to a camera, and none without a name.

    What the grammar has no room for in a name (a hyphen, white space) is written as "_".
    """
    name = _UNFIT.sub("_", user)[:_USER_CHARS]
    if not name or not is_platform(record.id):
        return ()
    return _written(UserIdentity((platform_id,), name))


def passed_on(record: DeviceRecord, gateway_id: str, named: str) -> tuple[tuple[str, str], ...]:
    """The header of a platform above as it goes on below, with the id that we have above in front; none when
    there was none that can be read."""
    if not named or not is_platform(record.id):
        return ()
    try:
        return _written(UserIdentity.parse(named).through(gateway_id))
    except (SipParseError, ValueError):
        return ()


def _written(identity: UserIdentity) -> tuple[tuple[str, str], ...]:
    try:
        return ((HEADER, identity.encode()),)
    except ValueError:  # our own id is no gateway's, or the line is full
        return ()
