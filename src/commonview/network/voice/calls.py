"""Which talk an INVITE of a device belongs to (GB/T 28181-2022 9.12). Pure.

The INVITE that follows a broadcast names the device, the channel or the loudspeaker, in From and in Subject,
as its maker pleases (Mercury and Dahua name the device, trap 32). What it was registered with is what tells
whose it is; names only choose among several that share an address, and when they do not, it is 486.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeVar

from commonview.network.registration import user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from commonview.wire.sip.message import SipRequest

_TALK = re.compile(rb"^s=\s*talk\b", re.MULTILINE | re.IGNORECASE)
_SENDER = re.compile(r"\s*([0-9A-Za-z]{1,32})\s*:")


class Awaited(Protocol):
    """What of a talk its call is known by."""

    @property
    def names(self) -> frozenset[str]:
        """The ids that the call may rightly carry."""


One = TypeVar("One", bound=Awaited)


def asks_for_voice(request: SipRequest) -> bool:
    """Whether the INVITE wants sound only, and is no talk of the 2016 kind, which a superior begins."""
    body = request.body
    return b"m=audio" in body and b"m=video" not in body and _TALK.search(body) is None


def names_in(request: SipRequest) -> frozenset[str]:
    """The ids of From and Subject."""
    first = request.headers.first
    subject = first.get("Subject", "")[:256]
    found = [_SENDER.match(part) for part in subject.split(",")[:2]]
    names = {match.group(1) for match in found if match is not None}
    sender = user_of(first.get("From"))
    return frozenset(names | ({sender} if sender else set()))


def choose(request: SipRequest, awaited: Sequence[One], is_device: Callable[[str], bool]) -> One | None:
    """The one of ``awaited`` (all registered where this INVITE comes from) that it belongs to; None: unclear.

    ``is_device`` tells ids of registered devices: a call in the name of another one is not ours to take.
    """
    names = names_in(request)
    named = [one for one in awaited if one.names & names]
    if named:
        return named[0] if len(named) == 1 else None
    sender = user_of(request.headers.first.get("From"))
    if len(awaited) != 1 or (sender is not None and is_device(sender)):
        return None
    return awaited[0]
