"""What is shared with whom now: the running sharings in memory, and whether one covers a channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from commonview.network.cascade.selection import covers
from commonview.network.tree import reads
from commonview.security import SharedAction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.database import Database
    from commonview.network.cascade.model import Superior
    from commonview.network.model import Channel
    from commonview.network.tree.groups import Groups
    from commonview.security import AccessOutcome, SharedAccess, SharedUse, Sharing


class SharingBook(Protocol):
    """Whoever keeps the agreements: the security room. Every verb blocks for the database."""

    def running_sharings(self) -> Sequence[Sharing]:
        """Those in force now."""

    def open_shared_access(
        self, sharing_id: str, channel_id: str, action: SharedAction, use: SharedUse, *, protocol: str
    ) -> SharedAccess:
        """Grant and access record for one relay, durable."""

    def close_access(self, access_id: str, outcome: AccessOutcome, *, bytes_sent: int = 0) -> None:
        """The relay ended before anything was sent."""

    def record_shared_use(
        self, use: SharedUse, action: str, channel_id: str, outcome: str, **detail: str | int
    ) -> None:
        """An audit entry."""


class Shares:
    """The running sharings by superior. Nothing is shared until a book is given and read."""

    def __init__(self, database: Database, groups: Groups) -> None:
        self._database = database
        self._groups = groups
        self._running: dict[str, tuple[Sharing, ...]] = {}
        self.book: SharingBook | None = None

    async def refresh(self) -> frozenset[str]:
        """Read the agreements; returns the superiors whose share is another now. Raises
        StorageUnavailable."""
        if self.book is None:
            return frozenset()
        found: dict[str, tuple[Sharing, ...]] = {}
        for one in await asyncio.to_thread(self.book.running_sharings):
            found[one.superior_id] = (*found.get(one.superior_id, ()), one)
        changed = {
            key for key in found.keys() | self._running.keys() if found.get(key) != self._running.get(key)
        }
        self._running = found
        return frozenset(changed)

    @property
    def any(self) -> bool:
        """Whether anything is shared with anybody."""
        return bool(self._running)

    def of(self, superior_id: str) -> tuple[Sharing, ...]:
        """What is shared with a superior now."""
        return self._running.get(superior_id, ())

    def covering(self, superior: Superior, channel: Channel, action: SharedAction) -> Sharing | None:
        """The sharing that lets a superior do this with a channel; blocks a moment when groups matter."""
        settings = superior.settings
        if channel.device_id == settings.server_id or not _allowed(superior, action):
            return None
        found: list[frozenset[str]] = []

        def groups() -> frozenset[str]:
            if not found:
                found.append(self._groups_of(channel))
            return found[0]

        for sharing in self.of(superior.id):
            if action in sharing.actions and covers(sharing.scope, channel.id, groups):
                return sharing
        return None

    def _groups_of(self, channel: Channel) -> frozenset[str]:
        with self._database.read() as conn:
            row = reads.channel(conn, channel.device_id, channel.gb_id)
            inside = reads.groups_of(conn, row["no"]) if row is not None else ()
        return frozenset(above for one in inside for above in self._groups.ancestors(one))


def _allowed(superior: Superior, action: SharedAction) -> bool:
    settings = superior.settings
    return {
        SharedAction.RECORDING: settings.allow_playback,
        SharedAction.DOWNLOAD: settings.allow_playback,
        SharedAction.CONTROL: settings.allow_control,
        SharedAction.ALARM: settings.allow_alarm,
        SharedAction.TALK: settings.allow_talk,
    }.get(action, True)
