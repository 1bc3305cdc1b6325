"""Taking recordings away: who, why, which span of which channels.

The records are on the books before anything is rendered; when the grant ends, what is rendered under it
stops.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.api.looks import span_detail
from commonview.recording import RecordingInvalid
from commonview.rendering import CutMode, Export, Exports, ExportState, ExportUnknown, Terms
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from datetime import datetime

    from commonview.api.export_evidence import Evidence

LONGEST: Final = timedelta(hours=24)
_OUTCOMES: Final = {
    ExportState.FINISHED: AccessOutcome.CLOSED,
    ExportState.CANCELLED: AccessOutcome.CLOSED,
    ExportState.FAILED: AccessOutcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What somebody wants to take away, and what for: a purpose and a reason, or a running grant."""

    channel_ids: tuple[str, ...]
    stream_number: int
    begin: datetime
    end: datetime
    cut: CutMode
    time_zone: str | None
    watermark: bool
    purpose_id: str | None
    reason: str | None
    duration_s: int | None
    grant_id: str | None


class ExportDesk:
    """Takes orders, and knows whose they are. All methods run on the event loop."""

    def __init__(self, security: SecurityService, evidence: Evidence, exports: Exports) -> None:
        self._security = security
        self._evidence = evidence
        self._exports = exports
        self._over: dict[str, AccessOutcome] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings = Endings()
        exports.set_listener(self._ended, evidence.still_kept)

    # -- ordering

    async def order(self, subject: Subject, wish: ExportWish) -> tuple[list[OpenedAccess], Export]:
        """Grant and records, then the export.

        Raises:
            ChannelUnknown, RecordingInvalid, RecordingUnknown, SegmentUnfinished, ExportRefused: before
                anything is written.
            SecurityError, StorageUnavailable: refused.
            NotFound: the grant or the sign-in ended in that moment.
        """
        if not timedelta(0) < wish.end - wish.begin <= LONGEST:
            raise RecordingInvalid("an export covers a moment to 24 hours", field="end")
        parts, estimate = await self._evidence.parts(
            wish.channel_ids, wish.stream_number, wish.begin, wish.end
        )
        self._exports.check(subject.account_id, estimate)
        with self._endings.watched():
            accesses = await self._open(subject, wish)
            try:
                self._require_running(accesses[0].grant.id, subject)
                export = await self._exports.add(
                    subject.account_id,
                    accesses[0].grant.id,
                    _terms(subject, wish, accesses),
                    parts,
                    estimate,
                )
            except BaseException:
                for access in accesses:
                    self._close(access.record.id, AccessOutcome.FAILED, 0)
                raise
            over = self._endings.of(accesses[0].grant.id)
        if over is not None:
            self.end_grant(export.grant_id, over)
        return accesses, export

    async def _open(self, subject: Subject, wish: ExportWish) -> list[OpenedAccess]:
        detail: dict[str, str | int] = {
            **span_detail(wish.begin, wish.end),
            "cut": wish.cut.value,
            "stream_number": wish.stream_number,
        }
        return await to_thread.run_sync(
            lambda: self._security.open_accesses(
                subject,
                wish.channel_ids,
                Action.EXPORT,
                purpose_id=wish.purpose_id,
                reason=wish.reason,
                duration_s=wish.duration_s,
                grant_id=wish.grant_id,
                protocol="export",
                detail=detail,
            )
        )

    def _require_running(self, grant_id: str, subject: Subject) -> None:
        if self._endings.of(grant_id, subject.session_id) is not None:
            raise NotFound("it was over before it began", kind="grant", id=grant_id)

    def _ended(self, export: Export) -> None:
        outcome = _OUTCOMES[export.state]
        if export.state is ExportState.CANCELLED:
            outcome = self._over.get(export.grant_id, outcome)
        by_channel = Counter(dict.fromkeys(export.terms.channel_ids, 0))
        for file in export.files:
            by_channel[file.channel_id] += file.bytes
        for channel_id, access_id in zip(export.terms.channel_ids, export.terms.access_ids, strict=True):
            self._close(access_id, outcome, by_channel[channel_id])
        self._keep(self._entry(export))

    async def _entry(self, export: Export) -> None:
        manifest = next((one.sha256 for one in export.files if not one.channel_id), "")
        await to_thread.run_sync(
            lambda: self._security.record(
                None,
                "export.finished" if export.files else "export.ended",
                f"export:{export.id}",
                "ok" if export.files else (export.failure or export.state.value),
                account=export.account_id,
                manifest_sha256=manifest,
                bytes=export.bytes,
            )
        )

    # -- one's own

    def own(self, subject: Subject) -> list[Export]:
        """One's own exports, newest first."""
        return self._exports.own(subject.account_id)

    def find(self, subject: Subject, export_id: str) -> Export:
        """Raises `ExportUnknown`, for somebody else's too."""
        export = self._exports.find(export_id)
        if export.account_id != subject.account_id:
            raise ExportUnknown("there is no such export")
        return export

    async def delete(self, subject: Subject, export_id: str) -> Export:
        """Stop it, or remove its files. Raises `ExportUnknown`, `StorageUnavailable`."""
        self.find(subject, export_id)
        return await self._exports.delete(export_id)

    # -- ends

    def end_grant(self, grant_id: str, outcome: AccessOutcome) -> None:
        """A grant is over: what is rendered under it stops."""
        self._endings.note(grant_id, outcome)
        self._over[grant_id] = outcome
        self._keep(self._cut(grant_id))

    async def _cut(self, grant_id: str) -> None:
        await self._exports.cut_grant(grant_id)
        self._over.pop(grant_id, None)

    def end_sessions(self, ended: Collection[str]) -> None:
        """Sign-ins are over: what is ordered under them in this moment is not; what is rendered goes on."""
        for sign_in in ended:
            self._endings.note(sign_in, AccessOutcome.CLOSED)

    def _close(self, access_id: str, outcome: AccessOutcome, count: int) -> None:
        self._keep(self._closed(access_id, outcome, count))

    async def _closed(self, access_id: str, outcome: AccessOutcome, count: int) -> None:
        await to_thread.run_sync(lambda: self._security.close_access(access_id, outcome, bytes_sent=count))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """The server stops: every record is closed."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))


def _terms(subject: Subject, wish: ExportWish, accesses: list[OpenedAccess]) -> Terms:
    access = accesses[0]
    return Terms(
        wish.channel_ids,
        tuple(one.record.id for one in accesses),
        wish.stream_number,
        wish.begin,
        wish.end,
        wish.cut,
        wish.time_zone,
        f"{subject.username} {access.grant.id[:8]}" if wish.watermark else "",
        subject.username,
        access.purpose.name_en,
        access.grant.reason,
    )
