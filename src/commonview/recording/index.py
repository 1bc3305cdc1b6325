"""The index of segments: rows linked to the one before, for what is on disk already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert

from commonview.foundation.database import stored_time
from commonview.media import RecorderSegment, SegmentScan
from commonview.recording import days, store
from commonview.recording.bands import Bands
from commonview.recording.model import GapReason, Segment, Track
from commonview.recording.rules import FOLLOWS_US, GENESIS, chained

if TYPE_CHECKING:
    from sqlalchemy import Connection

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finished:
    """A segment that is on disk and not in the index yet.

    ``absence`` says why nothing was recorded in front of it, when its recorder could not know; None when
    nothing was to be recorded there.
    """

    track: Track
    disk_id: str
    path: str
    begin: datetime
    end: datetime
    bytes: int
    sha256: str
    codec: str
    width: int
    height: int
    audio: str
    pictures: int
    key_frames: int
    gap_reason: str
    absence: tuple[GapReason, str] | None
    device_pts_begin: int | None = None
    device_pts_end: int | None = None

    @classmethod
    def reported(
        cls,
        track: Track,
        disk_id: str,
        path: str,
        event: RecorderSegment,
        absence: tuple[GapReason, str] | None,
    ) -> Finished:
        """What a recorder says it has written."""
        return cls(
            track=track,
            disk_id=disk_id,
            path=path,
            begin=moment(event.begin_us),
            end=moment(event.end_us),
            bytes=event.bytes,
            sha256=event.sha256,
            codec=event.codec,
            width=event.width,
            height=event.height,
            audio=event.audio,
            pictures=event.pictures,
            key_frames=event.key_frames,
            gap_reason=event.gap_reason,
            absence=absence,
            device_pts_begin=event.device_pts_begin,
            device_pts_end=event.device_pts_end,
        )

    @classmethod
    def found(cls, track: Track, disk_id: str, path: str, scan: SegmentScan, reason: GapReason) -> Finished:
        """A finished segment that was found on a disk; its name says when it begins."""
        begin = begin_of(path)
        return cls(
            track=track,
            disk_id=disk_id,
            path=path,
            begin=begin,
            end=begin + timedelta(microseconds=scan.duration_ticks * 100 // 9),
            bytes=scan.bytes,
            sha256=scan.sha256,
            codec=scan.codec,
            width=scan.width,
            height=scan.height,
            audio=scan.audio,
            pictures=scan.pictures,
            key_frames=scan.key_frames,
            gap_reason="",
            absence=(reason, ""),
        )


def moment(unix_us: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return _EPOCH + timedelta(microseconds=unix_us)


def begin_of(path: str) -> datetime:
    """When a segment begins, by its day and name. Raises ValueError for other names."""
    parts = Path(path)
    text = f"{parts.parent.name} {parts.name.partition('Z-')[0]}"
    return datetime.strptime(text, "%Y-%m-%d %H%M%S.%f").replace(tzinfo=UTC)


class SegmentIndex:
    """Appends segments in the caller's transactions. One per process; call `forget` when one fails."""

    def __init__(self, bands: Bands) -> None:
        self._bands = bands
        self._last: dict[Track, Segment] = {}

    def forget(self) -> None:
        """A transaction was rolled back: look again."""
        self._last.clear()
        self._bands.forget()

    def append(self, conn: Connection, batch: Iterable[Finished]) -> list[Segment]:
        """Index these segments, in order, with their gaps and bands."""
        added = [self._append(conn, finished) for finished in batch]
        if added:
            conn.execute(insert(store.segments), [store.segment_values(segment) for segment in added])
            days.add(conn, added)
        return added

    def last(self, conn: Connection, track: Track) -> Segment | None:
        """The newest segment of a track."""
        return self._last.get(track) or store.last_of(conn, track)

    def _append(self, conn: Connection, finished: Finished) -> Segment:
        track = finished.track
        last = self.last(conn, track)
        if last is None:
            store.know_track(conn, track)
        gap_us, reason = self._gap(conn, finished, last)
        segment = chained(
            GENESIS if last is None else last.link,
            Segment(
                track=track,
                sequence=1 if last is None else last.sequence + 1,
                begin=finished.begin,
                end=finished.end,
                bytes=finished.bytes,
                sha256=finished.sha256,
                codec=finished.codec,
                width=finished.width,
                height=finished.height,
                audio=finished.audio,
                pictures=finished.pictures,
                key_frames=finished.key_frames,
                gap_us=gap_us,
                gap_reason=reason,
                device_pts_begin=finished.device_pts_begin,
                device_pts_end=finished.device_pts_end,
                disk_id=finished.disk_id,
                path=finished.path,
                link="",
            ),
        )
        self._last[track] = segment
        self._bands.add(
            conn, track.channel_id, "recorded", stored_time(segment.begin), stored_time(segment.end)
        )
        return segment

    def _gap(self, conn: Connection, finished: Finished, last: Segment | None) -> tuple[int, str]:
        """What is missing in front of a segment, and why; nothing when it follows or nothing was wanted."""
        if last is None:
            return 0, ""
        missing = stored_time(finished.begin) - stored_time(last.end)
        reason, detail = finished.gap_reason, ""
        if not reason:
            if missing <= FOLLOWS_US or finished.absence is None:
                return 0, ""
            reason, detail = finished.absence[0].value, finished.absence[1]
        missing = max(0, missing)
        if missing:
            self.gap(conn, finished.track, last.end, finished.begin, GapReason(reason), detail)
        return missing, reason

    def gap(
        self,
        conn: Connection,
        track: Track,
        begin: datetime,
        end: datetime,
        reason: GapReason,
        detail: str = "",
    ) -> None:
        """Something is missing between two moments."""
        store.add_gap(conn, track, begin, end, reason, detail)
        self._bands.add(conn, track.channel_id, "gap", stored_time(begin), stored_time(end))


def recorded_spans(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """The spans that segments cover, in order."""
    return sorted((stored_time(one.begin), stored_time(one.end)) for one in segments)
