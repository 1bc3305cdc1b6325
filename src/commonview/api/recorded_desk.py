"""Looks at what was recorded: who, why, which span of which channel, and every byte under a grant that runs.

The record is on the books before anything can be fetched. When the grant, the session or the look ends, what
is under way is cut within one piece.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.api.looks import Wish, open_wish, span_detail
from commonview.media import SegmentGroup, SegmentHead, segment_groups
from commonview.recording import (
    RecordingInvalid,
    RecordingService,
    RecordingUnknown,
    Segment,
    SegmentUnderWay,
    Track,
)
from commonview.recording.under_way import path_of
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from commonview.network import NetworkService

PIECE: Final = 256 * 1024
_LONGEST_S: Final = 31 * 86400
_INDEXES_KEPT: Final = 2000
"""Of finished segments, a minute each as a rule: they are asked for again and again while somebody scrubs."""
_MOMENT: Final = timedelta(microseconds=1)
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(slots=True)
class _Look:
    account_id: str
    grant_id: str
    sign_in: str | None
    channel_id: str
    begin: datetime
    end: datetime
    bytes_sent: int = 0
    outcome: AccessOutcome | None = None
    """Set once it is over."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a segment that may be sent: from ``begin`` to before ``end`` of ``length``."""

    access_id: str
    path: Path
    begin: int
    end: int
    length: int


@dataclass(frozen=True, slots=True)
class Index:
    """What a segment holds, and where; of one under way what is there of it."""

    segment: Segment | SegmentUnderWay
    head: SegmentHead
    groups: Sequence[SegmentGroup]


class RecordedDesk:
    """Opens and closes looks at recordings. All methods run on the event loop."""

    def __init__(
        self, security: SecurityService, network: NetworkService, recording: RecordingService
    ) -> None:
        self._security = security
        self._network = network
        self._recording = recording
        self._looks: dict[str, _Look] = {}
        self._indexes: OrderedDict[Path, tuple[SegmentHead, list[SegmentGroup]]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._endings = Endings()
        self.counters: Counter[str] = Counter()

    async def open(
        self, subject: Subject, wish: Wish, begin: datetime, end: datetime
    ) -> tuple[OpenedAccess, list[Segment | SegmentUnderWay], datetime | None]:
        """Grant and record, then what there is, and from when on there is more than is told at once.

        Raises:
            ChannelUnknown, RecordingInvalid: before anything is written.
            SecurityError, StorageUnavailable: refused.
            NotFound: the grant or the sign-in ended in that moment.
        """
        self._network.channel(wish.channel_id)
        if not 0 < (end - begin).total_seconds() <= _LONGEST_S:
            raise RecordingInvalid("a look covers a moment to 31 days", field="end")
        with self._endings.watched():
            access = await open_wish(
                self._security, subject, wish, Action.RECORDING_VIEW, "recorded", span_detail(begin, end)
            )
            access_id = access.record.id
            self._looks[access_id] = _Look(
                subject.account_id, access.grant.id, subject.session_id, wish.channel_id, begin, end
            )
            ended = self._endings.of(access.grant.id, subject.session_id)
        if ended is not None:
            self._end(access_id, ended)
            raise NotFound("it was over before it began", kind="access_record", id=access_id)
        self.counters["opened"] += 1
        try:
            return access, *await self._told(wish.channel_id, begin, end)
        except BaseException:
            self._end(access_id, AccessOutcome.FAILED)
            raise

    async def segments(
        self, subject: Subject, access_id: str, begin: datetime | None
    ) -> tuple[list[Segment | SegmentUnderWay], datetime | None]:
        """What there is under a look now, from a moment on; as `open` tells it.

        Raises:
            NotFound: no such look of one's own, or it is over.
        """
        look = self._look(subject, access_id)
        from_ = look.begin if begin is None else max(begin, look.begin)
        if from_ >= look.end:
            return [], None
        return await self._told(look.channel_id, from_, look.end)

    async def _told(
        self, channel_id: str, begin: datetime, end: datetime
    ) -> tuple[list[Segment | SegmentUnderWay], datetime | None]:
        """What is in the index, and behind it what is not yet."""
        # In this order: what gets its row in between is told twice and not left out.
        under_way = await self._recording.under_way.between(channel_id, begin, end)
        segments, more = await self._recording.segments(channel_id, begin, end)
        if more is not None:
            return [*segments], more
        rows = {(one.track, one.sequence) for one in segments}
        return [*segments, *(one for one in under_way if (one.track, one.sequence) not in rows)], None

    async def part(
        self, subject: Subject, access_id: str, stream_number: int, sequence: int, asked: str | None
    ) -> Part:
        """A segment, or the bytes of it that a Range header asks for.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingUnknown: no such segment in it.
        """
        meant, path = await self._meant(subject, access_id, stream_number, sequence)
        if isinstance(meant, SegmentUnderWay):
            # What comes behind it may be cut off again when power fails now.
            length = meant.bytes
        else:
            try:
                length = (await to_thread.run_sync(path.stat)).st_size
            except OSError as error:
                raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error
        return Part(access_id, path, *_range(asked, length), length)

    async def index(self, subject: Subject, access_id: str, stream_number: int, sequence: int) -> Index:
        """Where in a segment its groups of pictures lie.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingUnknown: no such segment in it, or it cannot be read.
        """
        meant, path = await self._meant(subject, access_id, stream_number, sequence)
        if isinstance(meant, SegmentUnderWay):
            return Index(meant, meant.head, meant.groups)
        known = self._indexes.pop(path, None)
        if known is None:
            try:
                known = await to_thread.run_sync(segment_groups, path)
            except FileNotFoundError as error:
                raise RecordingUnknown("the segment is not on its disk", code="segment_unknown") from error
            except OSError as error:
                raise RecordingUnknown(str(error), code="segment_unreadable") from error
        self._indexes[path] = known
        if len(self._indexes) > _INDEXES_KEPT:
            self._indexes.popitem(last=False)
        return Index(meant, *known)

    def _look(self, subject: Subject, access_id: str) -> _Look:
        look = self._looks.get(access_id)
        if look is None or look.account_id != subject.account_id or look.outcome is not None:
            raise NotFound("there is no such look", kind="access_record", id=access_id[:64])
        return look

    async def _meant(
        self, subject: Subject, access_id: str, stream_number: int, sequence: int
    ) -> tuple[Segment | SegmentUnderWay, Path]:
        """A segment that may be looked at under this look, and where it lies."""
        look = self._look(subject, access_id)
        track = Track(look.channel_id, stream_number)
        meant: Segment | SegmentUnderWay | None = await self._recording.under_way.at(track, sequence)
        meant = await self._recording.segment(track, sequence) or meant
        path = None
        if meant is not None and meant.begin < look.end and meant.end > look.begin:
            path = self._recording.file_of(meant)
        if meant is None or path is None:
            raise RecordingUnknown("there is no such segment", code="segment_unknown")
        return meant, path

    async def at(
        self, subject: Subject, access_id: str, stream_number: int, moments: Sequence[datetime]
    ) -> list[tuple[Segment | SegmentUnderWay, Path] | None]:
        """The segment of each of these moments, in their order, as far as the look covers it; else None.

        Raises:
            NotFound: no such look of one's own, or it is over.
        """
        look = self._look(subject, access_id)
        begin, end = max(min(moments), look.begin), min(max(moments) + _MOMENT, look.end)
        if begin >= end:
            return [None] * len(moments)
        segments, _ = await self._told(look.channel_id, begin, end)
        kept = [one for one in segments if one.track.stream_number == stream_number]
        return [self._covering(kept, at) if begin <= at < end else None for at in moments]

    def _covering(
        self, segments: Sequence[Segment | SegmentUnderWay], at: datetime
    ) -> tuple[Segment | SegmentUnderWay, Path] | None:
        for segment in segments:
            if segment.begin <= at < segment.end and (path := self._recording.file_of(segment)) is not None:
                return segment, path
        return None

    def shown(self, subject: Subject, access_id: str, size_bytes: int) -> None:
        """Pictures are given out under a look. Raises NotFound: it is over meanwhile."""
        self._look(subject, access_id).bytes_sent += size_bytes

    async def send(self, part: Part) -> AsyncIterator[bytes]:
        """The bytes, for as long as the look lasts."""
        descriptor = await to_thread.run_sync(_opened, part.path)
        try:
            at = part.begin
            while at < part.end:
                look = self._looks.get(part.access_id)
                if look is None or look.outcome is not None:
                    self.counters["cut"] += 1
                    return
                piece = await to_thread.run_sync(os.pread, descriptor, min(PIECE, part.end - at), at)
                if not piece:
                    return
                at += len(piece)
                look.bytes_sent += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    async def leave(self, subject: Subject, access_id: str) -> None:
        """The look is over. Raises: NotFound."""
        self._look(subject, access_id)
        self._end(access_id, AccessOutcome.CLOSED)

    def end_grant(self, grant_id: str, outcome: AccessOutcome) -> None:
        """A grant has ended: its looks are over."""
        self._endings.note(grant_id, outcome)
        for access_id, look in list(self._looks.items()):
            if look.grant_id == grant_id:
                self._end(access_id, outcome)

    def end_sessions(self, ended: Collection[str]) -> None:
        """Sign-ins are over, and their looks with them."""
        for sign_in in ended:
            self._endings.note(sign_in, AccessOutcome.CLOSED)
        for access_id, look in list(self._looks.items()):
            if look.sign_in in ended:
                self._end(access_id, AccessOutcome.CLOSED)

    def _end(self, access_id: str, outcome: AccessOutcome) -> None:
        look = self._looks.pop(access_id, None)
        if look is None:
            return  # it ended while it was still being opened
        look.outcome = outcome
        task = asyncio.get_running_loop().create_task(self._close(access_id, outcome, look.bytes_sent))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        await to_thread.run_sync(
            lambda: self._security.close_access(access_id, outcome, bytes_sent=bytes_sent)
        )

    async def drain(self) -> None:
        """The server stops: close every record that is still open."""
        for access_id in list(self._looks):
            self._end(access_id, AccessOutcome.INTERRUPTED)
        if self._closing:
            await asyncio.wait(self._closing)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # It was finished in this moment.
        return os.open(path_of(path), os.O_RDONLY | os.O_CLOEXEC)


def _range(asked: str | None, length: int) -> tuple[int, int]:
    """The span of a single-range header (RFC 9110 14.2); the whole for anything else."""
    found = _RANGE.fullmatch(asked or "")
    if found is None or not any(found.groups()):
        return 0, length
    first, last = found.groups()
    if first:
        begin, end = int(first), min(int(last) + 1, length) if last else length
    else:
        begin, end = max(0, length - int(last)), length
    return (begin, end) if begin < end else (0, length)
