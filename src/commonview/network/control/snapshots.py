"""Pictures taken by the camera itself and uploaded to a one-time address (GB/T 28181-2022 9.14, A.2.3.2.12).

Many devices do it by private commands; the standard's way, and ours, is DeviceConfig with SnapShotConfig
and Notify UploadSnapShotFinished (trap 25). Pictures are video: they are taken and shown under a grant only.
Fewer pictures than asked for is a failure with its numbers, whatever the device says.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.datadir import write_private
from commonview.foundation.errors import StorageUnavailable
from commonview.foundation.ids import new_id
from commonview.network.control import store
from commonview.network.control.editions import require_edition
from commonview.network.control.errors import (
    SnapshotBusy,
    SnapshotUnknown,
    UploadRefused,
    UploadUnknown,
)
from commonview.network.control.model import CommandFailure, CommandState
from commonview.network.control.snapshot_model import KEPT_FOR, PICTURE_MAX_BYTES, Snapshot
from commonview.network.control.uploads import pictures_of
from commonview.network.errors import NetworkError
from commonview.network.exchange import PeerOffline, PeerRefused
from commonview.wire.manscdp import DeviceConfig, DeviceConfigResult, SnapShotConfig
from commonview.wire.version import GbVersion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.network.control.book import CommandBook
    from commonview.network.control.model import Command
    from commonview.network.control.target import Target
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Accepted, Exchange

log = logging.getLogger(__name__)

_SWEEP_EVERY_S: Final = 300.0
_SWEEP_AT_ONCE: Final = 500
_SLACK_BYTES: Final = 64 * 1024
"""What a multipart body may hold beside its pictures."""

_UNDER_WAY: Final = 16


@dataclass(frozen=True, slots=True)
class SnapshotOrder:
    """How many pictures, how far apart, under which grant and until when."""

    count: int
    interval_s: int
    account_id: str
    grant_id: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """Waits in seconds: for each picture beyond its interval, for stragglers after the device's notice."""

    picture_s: float = 20.0
    straggler_s: float = 3.0
    answer_s: float = 10.0


@dataclass(eq=False, slots=True)
class _Expected:
    token: str
    session_id: str
    device_id: str
    channel_id: str
    order: SnapshotOrder
    command: Command | None = None
    received: list[Snapshot] = field(default_factory=list)
    size_bytes: int = 0
    uploading: bool = False
    finished_ids: int | None = None
    cut: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def missing(self) -> int:
        return self.order.count - len(self.received)


class SnapshotRoom:
    """Expects uploads, keeps pictures, forgets them after `KEPT_FOR`."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        book: CommandBook,
        clock: Clock,
        folder: Path,
        limits: SnapshotLimits | None = None,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._book = book
        self._clock = clock
        self._folder = folder
        self.limits = limits or SnapshotLimits()
        self._expected: dict[str, _Expected] = {}
        self._tasks: set[asyncio.Task[int]] = set()
        self.counters: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Make the folder, for its owner only."""
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)

    async def close(self) -> None:
        """Nothing is expected any more."""
        self._expected.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- taking

    def check(self, target: Target) -> None:
        """Whether this camera could be asked for pictures now.

        Raises `NeedsNewerEdition`, `PeerOffline`, `SnapshotBusy`.
        """
        record = target.record
        require_edition(record, GbVersion.V2022, "SnapShotConfig")
        if record.flow is None or not record.online:
            raise PeerOffline(
                f"device {record.id} is offline", device_id=record.id, reason=record.reason.value
            )
        mine = (one.channel_id for one in self._expected.values())
        if len(self._expected) >= _UNDER_WAY or (target.channel_id or "") in mine:
            raise SnapshotBusy("a snapshot of this camera is under way", channel_id=target.channel_id or "")

    async def take(
        self, target: Target, order: SnapshotOrder, upload_base: str
    ) -> tuple[Command, asyncio.Task[int]]:
        """Ask the camera for pictures; the task ends with the bytes received, when all is over.

        ``upload_base``: scheme, host and port under which the device reaches our API. Raises as `check`, and
        `StorageUnavailable`: then nothing was sent.
        """
        self.check(target)
        expected = _Expected(
            secrets.token_urlsafe(24), secrets.token_hex(16), target.record.id, target.channel_id or "", order
        )
        self._expected[expected.token] = expected
        try:
            command = await self._book.open(
                target.record.id,
                target.channel_id,
                "snapshot",
                {"count": order.count, "interval_s": order.interval_s},
                order.account_id,
            )
        except BaseException:
            del self._expected[expected.token]
            raise
        expected.command = command
        block = SnapShotConfig(
            snap_num=order.count,
            interval_s=order.interval_s,
            upload_url=f"{upload_base}/api/device-upload/{expected.token}",
            session_id=expected.session_id,
        )
        task = asyncio.create_task(self._follow(target, expected, command, block))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return command, task

    async def _follow(
        self, target: Target, expected: _Expected, command: Command, block: SnapShotConfig
    ) -> int:
        try:
            if await self._ask(target, command, block):
                await self._wait(expected)
                self._conclude(expected, command)
        finally:
            self._expected.pop(expected.token, None)
        return expected.size_bytes

    async def _ask(self, target: Target, command: Command, block: SnapShotConfig) -> bool:
        def accepted(by: Accepted) -> None:
            self._book.note(command.id, CommandState.ACCEPTED, {"sip_status": by.status})

        message = DeviceConfig(sn=self._exchange.next_sn(), device_id=target.gb_id, blocks=(block,))
        try:
            reply = await self._exchange.ask(
                target.record,
                message,
                expect=DeviceConfigResult,
                first_s=self.limits.answer_s,
                on_accepted=accepted,
            )
        except NetworkError as error:
            refused = isinstance(error, PeerRefused)
            failure = CommandFailure.REFUSED_BY_DEVICE if refused else CommandFailure(error.code)
            evidence = {"sip_status": error.status} if isinstance(error, PeerRefused) else {}
            self._book.note(command.id, CommandState.FAILED, evidence, failure)
            return False
        if reply.answered:
            result = str(getattr(reply.messages[0], "result", ""))[:32]
            if getattr(reply.messages[0], "failed", False):
                self._book.note(
                    command.id,
                    CommandState.FAILED,
                    {"result": result},
                    CommandFailure.REFUSED_BY_DEVICE,
                )
                return False
            self._book.note(command.id, CommandState.ANSWERED, {"result": result or "untold"})
        return True

    async def _wait(self, expected: _Expected) -> None:
        """Until every picture came, the device said it is done, a picture is overdue or the grant ends."""
        while expected.missing > 0 and not expected.cut:
            left = (expected.order.ends_at - self._clock.now()).total_seconds()
            done = expected.finished_ids is not None
            patience = self.limits.straggler_s if done else self.limits.picture_s + expected.order.interval_s
            if left <= 0:
                return
            expected.wake.clear()
            try:
                async with asyncio.timeout(min(left, patience)):
                    await expected.wake.wait()
            except TimeoutError:
                return

    def _conclude(self, expected: _Expected, command: Command) -> None:
        evidence: dict[str, str | int | float] = {
            "asked": expected.order.count,
            "received": len(expected.received),
        }
        if expected.finished_ids is not None:
            evidence["told"] = expected.finished_ids
        if expected.missing <= 0:
            self._book.note(command.id, CommandState.OBSERVED, evidence)
            return
        nothing = not expected.received and expected.finished_ids is None
        unanswered = (
            nothing
            and (known := self._book.under_way(command.id)) is not None
            and not known.reached(CommandState.ANSWERED)
        )
        failure = CommandFailure.NOT_ANSWERED if unanswered else CommandFailure.PICTURES_MISSING
        self._book.note(command.id, CommandState.FAILED, evidence, failure)

    def on_finished(self, record: DeviceRecord, message: Any) -> None:
        """UploadSnapShotFinished of a device; only one for a session of this very device counts."""
        for expected in self._expected.values():
            if expected.session_id == message.session_id and expected.device_id == record.id:
                expected.finished_ids = len(message.file_ids)
                expected.wake.set()
                return
        self.counters["snapshot_notice_unasked"] += 1

    def cut_grant(self, grant_id: str) -> None:
        """A grant ended: nothing more is received under it."""
        for expected in self._expected.values():
            if expected.order.grant_id == grant_id:
                expected.cut = True
                expected.wake.set()

    # -- receiving

    def allowance(self, token: str) -> int:
        """Bytes an upload to this address may still have; 0 for an address that nobody was given."""
        expected = self._expected.get(token)
        if expected is None or expected.cut or expected.missing <= 0:
            return 0
        return PICTURE_MAX_BYTES * expected.missing + _SLACK_BYTES

    async def receive(self, token: str, content_type: str, body: AsyncIterator[bytes]) -> int:
        """Take one upload; returns how many pictures it brought.

        Raises `UploadUnknown`, `UploadRefused`, `StorageUnavailable`.
        """
        allowed = self.allowance(token)
        if not allowed:
            self.counters["upload_unknown"] += 1
            raise UploadUnknown("no upload is expected at this address")
        expected = self._expected[token]
        if expected.uploading:
            raise UploadRefused("an upload to this address is under way", code="upload_busy")
        expected.uploading = True
        try:
            pictures = pictures_of(await _read(body, allowed), content_type, expected.session_id)
            return await self._keep(expected, pictures)
        except UploadRefused as refused:
            self.counters[refused.code] += 1
            raise
        finally:
            expected.uploading = False

    async def _keep(self, expected: _Expected, pictures: list[bytes]) -> int:
        kept = 0
        for picture in pictures[: expected.missing]:
            if len(picture) > PICTURE_MAX_BYTES:
                raise UploadRefused(
                    f"a picture has at most {PICTURE_MAX_BYTES} bytes", code="upload_too_large"
                )
            if not self.allowance(expected.token):  # the grant ended meanwhile
                raise UploadUnknown("no upload is expected at this address any more")
            snapshot = Snapshot(
                id=new_id(),
                channel_id=expected.channel_id,
                command_id=expected.command.id if expected.command else "",
                grant_id=expected.order.grant_id,
                account_id=expected.order.account_id,
                file=f"{new_id()}.jpg",
                size_bytes=len(picture),
                received_at=self._clock.now(),
            )
            await asyncio.to_thread(self._write, snapshot, picture)
            expected.received.append(snapshot)
            expected.size_bytes += len(picture)
            kept += 1
        self.counters["pictures_surplus"] += len(pictures) - kept
        self.counters["pictures_received"] += kept
        expected.wake.set()
        return kept

    def _write(self, snapshot: Snapshot, picture: bytes) -> None:
        path = self._folder / snapshot.file
        try:
            write_private(path, picture)
            with self._database.begin() as conn:
                store.save_snapshot(conn, snapshot)
        except OSError as error:
            raise StorageUnavailable(
                f"a picture could not be written ({error.strerror})", code="storage_unavailable"
            ) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    # -- showing and forgetting

    async def find(self, snapshot_id: str) -> Snapshot:
        """One picture's line. Raises `SnapshotUnknown`."""

        def work() -> Snapshot | None:
            with self._database.read() as conn:
                return store.load_snapshot(conn, snapshot_id)

        snapshot = await asyncio.to_thread(work)
        if snapshot is None or snapshot.received_at < self._clock.now() - KEPT_FOR:
            raise SnapshotUnknown(f"no picture {snapshot_id[:40]!r}", snapshot_id=snapshot_id[:40])
        return snapshot

    async def of(self, account_id: str, channel_id: str | None = None) -> list[Snapshot]:
        """The newest pictures that an account took."""

        def work() -> list[Snapshot]:
            with self._database.read() as conn:
                return store.load_snapshots(conn, account_id, channel_id, 200)

        return await asyncio.to_thread(work)

    async def read(self, snapshot: Snapshot) -> bytes:
        """The picture itself. Raises `SnapshotUnknown` when its file is gone."""
        try:
            return await asyncio.to_thread((self._folder / snapshot.file).read_bytes)
        except OSError:
            raise SnapshotUnknown("this picture has been deleted", snapshot_id=snapshot.id) from None

    async def sweep(self) -> None:
        """Delete pictures older than `KEPT_FOR`, and files that no line names; runs until cancelled."""
        while True:
            try:
                self.counters["pictures_deleted"] += await asyncio.to_thread(
                    self._sweep, self._clock.now() - KEPT_FOR
                )
            except (StorageUnavailable, OSError) as error:
                self.counters["sweep_failed"] += 1
                log.warning("old pictures could not be deleted, trying again: %s", error)
            await asyncio.sleep(_SWEEP_EVERY_S)

    def _sweep(self, before: datetime) -> int:
        deleted = 0
        with self._database.read() as conn:
            files = store.expired_files(conn, before, _SWEEP_AT_ONCE)
        for snapshot_id, name in files:
            (self._folder / name).unlink(missing_ok=True)  # the file first: a line without one is harmless
            with self._database.begin() as conn:
                store.delete_snapshot(conn, snapshot_id)
            deleted += 1
        limit = (before - timedelta(hours=1)).timestamp()
        for path in self._folder.glob("*.jpg"):  # what a crash left between file and line
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                deleted += 1
        return deleted


async def _read(body: AsyncIterator[bytes], allowed: int) -> bytes:
    read = bytearray()
    async for piece in body:
        read += piece
        if len(read) > allowed:
            raise UploadRefused(f"an upload here has at most {allowed} bytes", code="upload_too_large")
    return bytes(read)
