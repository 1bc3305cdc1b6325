"""Looks at what was recorded: who, why, which span of which channel, and every byte under a grant that runs.

The record is on the books before anything can be fetched. When the grant, the session or the look ends, what
is under way is cut within one piece.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.api.looks import Wish, open_wish, span_detail
from commonview.api.recorded_files import (
    PIECE,
    Contents,
    Index,
    Part,
    opened,
    read_contents,
    read_part,
    read_sound,
    read_span,
)
from commonview.recording import (
    RecordingInvalid,
    RecordingService,
    RecordingUnknown,
    Segment,
    SegmentUnderWay,
    Track,
)
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from commonview.media import SegmentSound
    from commonview.network import NetworkService

_LONGEST_S: Final = 31 * 86400
_INDEXES_KEPT: Final = 2000
"""Of finished segments, a minute each as a rule: they are asked for again and again while somebody scrubs."""
_LONGEST_SOUND_US: Final = 60_000_000
_MOMENT: Final = timedelta(microseconds=1)
_ReadT = TypeVar("_ReadT")


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


class RecordedDesk:
    """Opens and closes looks at recordings. All methods run on the event loop."""

    def __init__(
        self, security: SecurityService, network: NetworkService, recording: RecordingService
    ) -> None:
        self._security = security
        self._network = network
        self._recording = recording
        self._looks: dict[str, _Look] = {}
        self._indexes: OrderedDict[tuple[Track, int], Contents] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._endings = Endings()
        self._on_end: Callable[[str], None] = lambda _access_id: None
        self.counters: Counter[str] = Counter()

    def follow_ends(self, on_end: Callable[[str], None]) -> None:
        """Who is told, by its access id, that a look is over."""
        self._on_end = on_end

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
        return await self._read(
            subject, access_id, stream_number, sequence, lambda meant, path: read_part(meant, path, asked)
        )

    async def index(self, subject: Subject, access_id: str, stream_number: int, sequence: int) -> Index:
        """Where in a segment its groups of pictures lie.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingUnknown: no such segment in it, or it cannot be read.
        """
        index, _ = await self._indexed(subject, access_id, stream_number, sequence, None)
        return index

    async def opening(
        self, subject: Subject, access_id: str, stream_number: int, sequence: int, offset_us: int
    ) -> tuple[Index, Part]:
        """The index and the group of pictures at a moment of the segment. Raises: as `index`."""
        index, part = await self._indexed(subject, access_id, stream_number, sequence, offset_us)
        assert part is not None  # noqa: S101 - a moment was asked for
        return index, part

    async def _indexed(
        self, subject: Subject, access_id: str, stream_number: int, sequence: int, offset_us: int | None
    ) -> tuple[Index, Part | None]:
        track = Track(self._look(subject, access_id).channel_id, stream_number)
        known = self._indexes.pop((track, sequence), None)

        def read(meant: Segment | SegmentUnderWay, path: Path) -> tuple[Index, Part | None]:
            is_known = known is not None and isinstance(meant, Segment)
            index = Index(meant, known if is_known and known is not None else read_contents(meant, path))
            if offset_us is None:
                return index, None
            group = index.contents.group_at(offset_us)
            return index, read_span(path, group.offset, group.offset + group.bytes)

        index, part = await self._read(subject, access_id, stream_number, sequence, read)
        if isinstance(index.segment, Segment):
            self._indexes[track, sequence] = index.contents
        if len(self._indexes) > _INDEXES_KEPT:
            self._indexes.popitem(last=False)
        return index, part

    async def sound(
        self, subject: Subject, access_id: str, stream_number: int, sequence: int, begin_us: int, end_us: int
    ) -> SegmentSound:
        """The sound that begins in a span of a segment, as browsers play it.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingInvalid: no span, or more than a minute.
            RecordingUnknown: no such segment in it, it cannot be read, or browsers play no sound of it.
        """
        if not 0 < end_us - begin_us <= _LONGEST_SOUND_US:
            raise RecordingInvalid("sound is given out for a minute at most", field="end_us")

        def read(meant: Segment | SegmentUnderWay, path: Path) -> SegmentSound:
            return read_sound(meant, path, begin_us, end_us)

        found = await self._read(subject, access_id, stream_number, sequence, read)
        self.shown(subject, access_id, len(found.data))
        return found

    def _look(self, subject: Subject, access_id: str) -> _Look:
        look = self._looks.get(access_id)
        if look is None or look.account_id != subject.account_id or look.outcome is not None:
            raise NotFound("there is no such look", kind="access_record", id=access_id[:64])
        return look

    async def _read(
        self,
        subject: Subject,
        access_id: str,
        stream_number: int,
        sequence: int,
        read: Callable[[Segment | SegmentUnderWay, Path], _ReadT],
    ) -> _ReadT:
        """Reads of a segment that may be looked at under this look: found and read in one go of a thread."""
        look = self._look(subject, access_id)
        track = Track(look.channel_id, stream_number)

        def finished() -> _ReadT | None:
            meant = self._recording.find(track, sequence)
            return None if meant is None else read(meant, self._file(look, meant))

        found = await to_thread.run_sync(finished)
        if found is None:
            under_way = await self._recording.under_way.at(track, sequence)
            if under_way is None:  # it may have got its row meanwhile
                found = await to_thread.run_sync(finished)
            else:
                found = await to_thread.run_sync(lambda: read(under_way, self._file(look, under_way)))
        if found is None:
            raise RecordingUnknown("there is no such segment", code="segment_unknown")
        self._look(subject, access_id)  # it may be over meanwhile
        return found

    def _file(self, look: _Look, meant: Segment | SegmentUnderWay) -> Path:
        path = None
        if meant.begin < look.end and meant.end > look.begin:
            path = self._recording.file_of(meant)
        if path is None:
            raise RecordingUnknown("there is no such segment", code="segment_unknown")
        return path

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
        found = await self._between(Track(look.channel_id, stream_number), begin, end)
        return [self._covering(found, at) if begin <= at < end else None for at in moments]

    async def one_at(self, track: Track, at: datetime) -> tuple[Segment | SegmentUnderWay, Path] | None:
        """The segment of a moment, for who has put a look of their own on record."""
        return self._covering(await self._between(track, at, at + _MOMENT), at)

    async def _between(self, track: Track, begin: datetime, end: datetime) -> list[Segment | SegmentUnderWay]:
        segments, _ = await self._told(track.channel_id, begin, end)
        return [one for one in segments if one.track == track]

    def _covering(
        self, segments: Sequence[Segment | SegmentUnderWay], at: datetime
    ) -> tuple[Segment | SegmentUnderWay, Path] | None:
        for segment in segments:
            if segment.begin <= at < segment.end and (path := self._recording.file_of(segment)) is not None:
                return segment, path
        return None

    def shown(self, subject: Subject, access_id: str, size_bytes: int) -> None:
        """Pictures or sound are given out under a look. Raises NotFound: it is over meanwhile."""
        self._look(subject, access_id).bytes_sent += size_bytes

    def whole(self, subject: Subject, access_id: str, part: Part) -> bytes | None:
        """All bytes of a part that are there already, given out now; None when more must be read.

        Raises:
            NotFound: it is over meanwhile.
        """
        if not part.is_read:
            return None
        self.shown(subject, access_id, len(part.first))
        return part.first

    async def send(self, access_id: str, part: Part) -> AsyncIterator[bytes]:
        """The bytes, for as long as the look lasts."""
        descriptor = None
        try:
            at, piece = part.begin, part.first
            while piece:
                look = self._looks.get(access_id)
                if look is None or look.outcome is not None:
                    self.counters["cut"] += 1
                    return
                at += len(piece)
                look.bytes_sent += len(piece)
                yield piece
                if at >= part.end:
                    return
                if descriptor is None:
                    descriptor = await to_thread.run_sync(opened, part.path)
                piece = await to_thread.run_sync(os.pread, descriptor, min(PIECE, part.end - at), at)
        finally:
            if descriptor is not None:
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
        self._on_end(access_id)
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
