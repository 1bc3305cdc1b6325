"""The words of sharing: what another platform may pull, agreed by a person, for a purpose, until a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from commonview.security.model import Action, Grant


class SharedAction(StrEnum):
    """What a platform may be allowed to do with a shared channel."""

    LIVE = "live"
    RECORDING = "recording"
    DOWNLOAD = "download"
    CONTROL = "control"
    TALK = "talk"
    ALARM = "alarm"
    POSITION = "position"


NEEDED: Final[Mapping[SharedAction, Action]] = {
    SharedAction.LIVE: Action.LIVE_VIEW,
    SharedAction.RECORDING: Action.RECORDING_VIEW,
    SharedAction.DOWNLOAD: Action.EXPORT,
    SharedAction.CONTROL: Action.CAMERA_CONTROL,
    SharedAction.TALK: Action.CAMERA_TALK,
}
"""What the purpose of a sharing must allow. Alarms and positions show no picture and need nothing of it."""


class SharingState(StrEnum):
    """Only RUNNING shares anything."""

    NOT_STARTED = "not_started"
    RUNNING = "running"
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class SharingScope:
    """Which channels: all there are or those named and those in the groups named, without the excluded.

    A group counts with everything below it.
    """

    everything: bool = False
    channel_ids: frozenset[str] = frozenset()
    group_ids: frozenset[str] = frozenset()
    excluded_channel_ids: frozenset[str] = frozenset()
    excluded_group_ids: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether it can never cover a channel."""
        return not (self.everything or self.channel_ids or self.group_ids)


@dataclass(frozen=True, slots=True)
class Sharing:
    """One agreement. ``superior_id`` is the platform it is with, ``owner`` the unit that answers for it."""

    id: str
    superior_id: str
    owner: str
    purpose_id: str
    reason: str
    actions: frozenset[SharedAction]
    scope: SharingScope
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None

    def state_at(self, now: datetime) -> SharingState:
        """What the agreement is at the moment `now`."""
        if self.revoked_at is not None:
            return SharingState.REVOKED
        if now >= self.ends_at:
            return SharingState.ENDED
        return SharingState.NOT_STARTED if now < self.starts_at else SharingState.RUNNING


@dataclass(frozen=True, slots=True)
class SharedUse:
    """Who pulls: the platform, where it calls from, and the user it names (Monitor-User-Identity)."""

    superior_id: str
    superior_name: str
    address: str
    user: str = ""
    detail: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedAccess:
    """What `open_shared_access` gives: durable before it is returned."""

    access_id: str
    grant: Grant
