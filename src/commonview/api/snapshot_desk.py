"""Taking and showing a camera's own pictures; the promise is that of video: grant and access record first."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from anyio import to_thread

from commonview.foundation.errors import CommonviewError
from commonview.network import NetworkService
from commonview.network.control import Command, Snapshot, SnapshotOrder, Target
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

log = logging.getLogger(__name__)

PROTOCOL = "snapshot"
"""How these pictures travel, in access records."""


@dataclass(frozen=True, slots=True)
class SnapshotWish:
    """How many pictures, how far apart, and under what."""

    count: int
    interval_s: int
    grant_id: str | None = None
    purpose_id: str | None = None
    reason: str | None = None
    duration_s: int | None = None


class SnapshotDesk:
    """Opens and closes the records of snapshots. All methods run on the event loop."""

    def __init__(
        self, *, security: SecurityService, network: NetworkService, address: Callable[[Target], str]
    ) -> None:
        """``address``: scheme, host and port under which the device of a target reaches our API."""
        self._security = security
        self._network = network
        self._address = address
        self._following: set[asyncio.Task[None]] = set()

    async def take(
        self, subject: Subject, channel_id: str, wish: SnapshotWish
    ) -> tuple[OpenedAccess, Command]:
        """Have the camera take pictures and upload them.

        Raises what `SnapshotRoom.check` and `SecurityService.open_access` raise: then nothing was asked.
        """
        control = self._network.control
        target = control.channel(channel_id)
        control.snapshots.check(target)
        base = self._address(target)
        access = await to_thread.run_sync(
            lambda: self._security.open_access(
                subject,
                channel_id,
                Action.LIVE_VIEW,
                grant_id=wish.grant_id,
                purpose_id=wish.purpose_id,
                reason=wish.reason,
                duration_s=wish.duration_s,
                protocol=PROTOCOL,
                detail={"pictures": wish.count},
            )
        )
        order = SnapshotOrder(
            wish.count, wish.interval_s, subject.account_id, access.grant.id, access.grant.ends_at
        )
        try:
            command, following = await control.snapshots.take(target, order, base)
        except BaseException:
            await self._close(access.record.id, AccessOutcome.FAILED, 0)
            raise
        task = asyncio.create_task(self._follow(access.record.id, following))
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return access, command

    async def _follow(self, access_id: str, following: asyncio.Task[int]) -> None:
        try:
            size_bytes = await following
        except asyncio.CancelledError:
            await self._close(access_id, AccessOutcome.INTERRUPTED, 0)
        except Exception:
            log.exception("a snapshot ended with a fault")
            await self._close(access_id, AccessOutcome.FAILED, 0)
        else:
            outcome = AccessOutcome.CLOSED if size_bytes else AccessOutcome.FAILED
            await self._close(access_id, outcome, size_bytes)

    async def show(self, subject: Subject, snapshot_id: str, grant_id: str | None) -> tuple[Snapshot, bytes]:
        """One's own picture, under the grant it was taken under or another running one of one's own.

        Raises `SnapshotUnknown`, `NotFound` for somebody else's, and what `open_access` raises.
        """
        snapshots = self._network.control.snapshots
        snapshot = await snapshots.find(snapshot_id)
        if snapshot.account_id != subject.account_id:
            raise NotFound("there is no such picture", kind="snapshot", id=snapshot_id[:64])
        access = await to_thread.run_sync(
            lambda: self._security.open_access(
                subject,
                snapshot.channel_id,
                Action.LIVE_VIEW,
                grant_id=grant_id or snapshot.grant_id,
                protocol=PROTOCOL,
                detail={"snapshot": snapshot.id},
            )
        )
        try:
            picture = await snapshots.read(snapshot)
        except CommonviewError:
            await self._close(access.record.id, AccessOutcome.FAILED, 0)
            raise
        await self._close(access.record.id, AccessOutcome.CLOSED, len(picture))
        return snapshot, picture

    async def _close(self, access_id: str, outcome: AccessOutcome, size_bytes: int) -> None:
        await to_thread.run_sync(
            lambda: self._security.close_access(access_id, outcome, bytes_sent=size_bytes)
        )

    async def close(self) -> None:
        """The server stops: every record that is still open gets its end."""
        for task in list(self._following):
            await asyncio.wait([task], timeout=5.0)
