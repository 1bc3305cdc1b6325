"""Segments that are not in the index yet: the one that is being written, and those that wait for their row.

They can be looked at as far as they are on the disk. Nothing of them is in the index or its chain: their
number is the one their row will have, and until then they are told apart by when they begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonview.media import OpenSegment, SegmentGroup, SegmentHead, segment_groups
from commonview.recording import store
from commonview.recording.index import moment
from commonview.recording.model import Disk, RecordingError, Segment, Track

if TYPE_CHECKING:
    from commonview.foundation.database import Database
    from commonview.media import MediaNode, RecorderBegan, RecorderSegment

PATIENCE_S: Final = 15.0
"""A segment ends with a key frame: some cameras send one in ten seconds."""
_REPORT_S: Final = 1.0
"""What a recorder has finished is known here after this."""
_UNFINISHED: Final = ".part"
_FINISHED: Final = ".mp4"


class SegmentUnfinished(RecordingError):
    """What is being written could not be finished in time; ``params`` say of which channel, since when."""

    default_code = "segment_unfinished"
    http_status = 409


@dataclass(frozen=True, slots=True)
class SegmentUnderWay:
    """A segment without a row, as far as it is on the disk. The names are those of a `Segment`."""

    track: Track
    sequence: int
    """That its row will have."""
    begin: datetime
    end: datetime
    """Of the last picture that is there."""
    bytes: int
    codec: str
    width: int
    height: int
    audio: str
    disk_id: str
    path: str
    """Below the disk's root; when it is finished it gets another name: see `path_of`."""
    head: SegmentHead
    groups: tuple[SegmentGroup, ...]
    sha256: str = ""
    gap_reason: str = ""
    device_pts_begin: int | None = None
    device_pts_end: int | None = None


def path_of(path: Path) -> Path:
    """Where the file of a segment is now that lay there a moment ago."""
    return path.with_suffix(_FINISHED) if path.suffix == _UNFINISHED and not path.exists() else path


@dataclass(slots=True, eq=False)
class _Entry:
    recorder_id: str
    track: Track
    disk: Disk
    path: Path
    """While it is unfinished."""
    begin: datetime
    report: RecorderSegment | None = None
    """It has its name and waits for its row."""

    def is_row(self, segment: Segment) -> bool:
        relative = str(self.path.with_suffix(_FINISHED).relative_to(self.disk.root))
        return (self.disk.id, relative) == (segment.disk_id, segment.path)


class UnderWay:
    """Kept by what recorders report; the media core says how far each has come. Runs on the event loop."""

    def __init__(self, database: Database, node: MediaNode) -> None:
        self._database = database
        self._node = node
        self._entries: dict[Track, list[_Entry]] = {}
        self._news = asyncio.Event()

    # -- what recorders report

    def begun(self, track: Track, disk: Disk, event: RecorderBegan) -> None:
        """A recorder begins a segment."""
        entry = _Entry(event.recorder_id, track, disk, Path(event.path), moment(event.begin_us))
        self._entries.setdefault(track, []).append(entry)
        self._changed()

    def reported(self, track: Track, event: RecorderSegment) -> None:
        """A segment is finished. Of those its recorder began before nothing came."""
        entries = self._entries.get(track, [])
        path = Path(event.path).with_suffix(_UNFINISHED)
        mine = [one for one in entries if one.recorder_id == event.recorder_id and one.report is None]
        number = next((number for number, one in enumerate(mine) if one.path == path), None)
        if number is None:
            return
        mine[number].report = event
        for entry in mine[:number]:
            entries.remove(entry)
        # Rows are written in the order of the reports.
        waiting = [one for one in entries if one.report is not None and one is not mine[number]]
        written = [one for one in entries if one.report is None]
        entries[:] = [*waiting, mine[number], *written]
        self._changed()

    def ended(self, track: Track, recorder_id: str) -> None:
        """A recorder is gone: it reports nothing more."""
        self._keep(track, lambda one: one.recorder_id != recorder_id or one.report is not None)

    def indexed(self, segments: Iterable[Segment]) -> None:
        """These have their row."""
        for segment in segments:
            self._keep(segment.track, lambda one, row=segment: not one.is_row(row))  # type: ignore[misc]

    def _keep(self, track: Track, stays: Callable[[_Entry], bool]) -> None:
        left = [one for one in self._entries.get(track, []) if stays(one)]
        if left:
            self._entries[track] = left
        else:
            self._entries.pop(track, None)
        self._changed()

    def _changed(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # -- looking

    def since(self, track: Track) -> datetime | None:
        """When the oldest of a track begins; None when everything is in the index."""
        entries = self._entries.get(track)
        return min(one.begin for one in entries) if entries else None

    async def between(self, channel_id: str, begin: datetime, end: datetime) -> list[SegmentUnderWay]:
        """The segments of a channel that touch a span, by time and stream. Raises `StorageUnavailable`."""
        found: list[SegmentUnderWay] = []
        for track in sorted(one for one in self._entries if one.channel_id == channel_id):
            found += [one for one in await self._of(track) if one.begin < end and one.end > begin]
        found.sort(key=lambda one: (one.begin, one.track.stream_number))
        return found

    async def at(self, track: Track, sequence: int) -> SegmentUnderWay | None:
        """The one that will have this number. Raises `StorageUnavailable`."""
        if track not in self._entries:
            return None
        return next((one for one in await self._of(track) if one.sequence == sequence), None)

    async def _of(self, track: Track) -> list[SegmentUnderWay]:
        await self._settle(track)
        last = await asyncio.to_thread(self._last, track)
        entries = list(self._entries.get(track, []))
        reach = self._reach(entries)
        if last is not None:
            # A row is there a moment before that is known here.
            row = next((number for number, one in enumerate(entries) if one.is_row(last)), -1)
            entries = entries[row + 1 :]
        number = 1 if last is None else last.sequence + 1
        found: list[SegmentUnderWay] = []
        for entry in entries:
            told = reach.get((entry.recorder_id, entry.path))
            if told is None and entry.report is not None:
                told = await asyncio.to_thread(_finished, entry, entry.report)
            if told is not None and told.head is not None:
                found.append(_shown(entry, told, told.head, number))
            number += 1
        return found

    def _last(self, track: Track) -> Segment | None:
        with self._database.read() as conn:
            return store.last_of(conn, track)

    async def _settle(self, track: Track) -> None:
        """Until it is known what became of those that a recorder has finished; nothing came of the rest."""
        lost: list[_Entry] = []
        try:
            async with asyncio.timeout(_REPORT_S):
                while lost := self._lost(track):
                    await self._news.wait()
        except TimeoutError:
            self._keep(track, lambda one: one not in lost)

    def _lost(self, track: Track) -> list[_Entry]:
        entries = self._entries.get(track, [])
        reach = self._reach(entries)
        return [one for one in entries if one.report is None and (one.recorder_id, one.path) not in reach]

    def _reach(self, entries: Iterable[_Entry]) -> dict[tuple[str, Path], OpenSegment]:
        return {
            (recorder_id, one.path): one
            for recorder_id in {entry.recorder_id for entry in entries}
            for one in self._node.open_segments(recorder_id)
        }

    # -- finishing

    async def finish(
        self,
        channel_ids: Collection[str],
        stream_number: int,
        until: datetime,
        *,
        patience_s: float | None = None,
    ) -> None:
        """Wait until everything that began before a moment is in the index; segments are ended for it.

        A segment ends with the next key frame of its camera. Raises `SegmentUnfinished`.
        """
        tracks = [Track(channel_id, stream_number) for channel_id in dict.fromkeys(channel_ids)]
        for track in tracks:
            await self._settle(track)
        turned: set[Path] = set()
        wanted: list[_Entry] = []
        try:
            async with asyncio.timeout(PATIENCE_S if patience_s is None else patience_s):
                while wanted := [
                    one for track in tracks for one in self._entries.get(track, []) if one.begin < until
                ]:
                    for entry in wanted:
                        if entry.report is None and entry.path not in turned:
                            turned.add(entry.path)
                            self._node.turn_recorder(entry.recorder_id)
                    await self._news.wait()
        except TimeoutError:
            first = wanted[0]
            raise SegmentUnfinished(
                "its camera sent no key frame with which the segment could end",
                channel_id=first.track.channel_id,
                since=first.begin.isoformat(),
            ) from None


def _finished(entry: _Entry, report: RecorderSegment) -> OpenSegment | None:
    """What is finished is not with its recorder any more. Blocks."""
    try:
        head, groups = segment_groups(entry.path.with_suffix(_FINISHED))
    except OSError:
        return None
    return OpenSegment(entry.path.with_suffix(_FINISHED), report.begin_us, report.end_us, head, tuple(groups))


def _shown(entry: _Entry, told: OpenSegment, head: SegmentHead, number: int) -> SegmentUnderWay:
    return SegmentUnderWay(
        track=entry.track,
        sequence=number,
        begin=entry.begin,
        end=moment(told.end_us),
        bytes=head.bytes,
        codec="h264" if head.video_codec.startswith("avc") else "h265",
        width=head.width,
        height=head.height,
        audio=_AUDIO.get(head.audio_codec.partition(".")[0], ""),
        disk_id=entry.disk.id,
        path=str(told.path.relative_to(entry.disk.root)),
        head=head,
        groups=told.groups,
    )


_AUDIO: Final = {"mp4a": "aac", "alaw": "g711a", "ulaw": "g711u"}
"""The index's words for the sound of a segment, by its RFC 6381 name."""
