"""What an export is made of, and what its manifest says of it: segments with their links, gaps, deletions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.database import stored_time
from commonview.recording import RecordingInvalid, RecordingUnknown, Segment
from commonview.rendering import ChannelPart, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from commonview.foundation.clock import Clock
    from commonview.network import NetworkService
    from commonview.recording import RecordingService

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Evidence:
    """Reads the index of recordings for exports."""

    def __init__(self, network: NetworkService, recording: RecordingService, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self._recording = recording

    async def parts(
        self, channel_ids: Sequence[str], stream_number: int, begin: datetime, end: datetime
    ) -> tuple[list[ChannelPart], int]:
        """What there is of each channel in a span, and about how many bytes it is.

        What is being written of it is finished first: all that is taken away has its hash and its link.

        Raises:
            ChannelUnknown, StorageUnavailable.
            SegmentUnfinished: a camera sends no key frame to end its segment with.
            RecordingInvalid: more than one export can hold.
            RecordingUnknown: nothing is recorded there.
        """
        for channel_id in channel_ids:
            self._network.channel(channel_id)
        await self._recording.under_way.finish(channel_ids, stream_number, min(end, self._clock.now()))
        parts, estimate = [], 0
        for channel_id in channel_ids:
            name = self._network.channel(channel_id).name
            segments, more = await self._recording.segments(channel_id, begin, end)
            if more is not None:
                raise RecordingInvalid("there is too much in it for one export", field="end")
            found = [one for one in segments if one.track.stream_number == stream_number]
            estimate += sum(_share(one, begin, end) for one in found)
            sources, told = await self._sources(found)
            stem = f"{channel_id}_{begin.astimezone(UTC):%Y%m%dT%H%M%SZ}"
            absent = await self._absent(channel_id, stream_number, begin, end)
            said = {"name": name, "segments": told, **absent}
            parts.append(ChannelPart(channel_id, stem, tuple(sources), said))
        if not any(part.sources for part in parts):
            raise RecordingUnknown("nothing is recorded there", code="nothing_recorded")
        return parts, estimate

    async def _sources(self, segments: Sequence[Segment]) -> tuple[list[Source], list[dict[str, Any]]]:
        sources: list[Source] = []
        told: list[dict[str, Any]] = []
        before: Segment | None = None
        for segment in sorted(segments, key=lambda one: one.sequence):
            path = self._recording.file_of(segment)
            if path is None:
                continue
            if before is None or before.sequence + 1 != segment.sequence:
                previous = await self._recording.link_of(segment.track, segment.sequence - 1)
            else:
                previous = before.link
            sources.append(_source(segment, path))
            told.append(_evidence(segment, previous))
            before = segment
        return sources, told

    async def _absent(
        self, channel_id: str, stream_number: int, begin: datetime, end: datetime
    ) -> dict[str, Any]:
        gaps = await self._recording.gaps(begin, end, channel_id)
        stones = await self._recording.tombstones(channel_id)
        return {
            "gaps": [
                {"begin": _text(one.begin), "end": _text(one.end), "reason": one.reason.value}
                for one in gaps
                if one.track.stream_number == stream_number
            ],
            "deleted": [
                {"tombstone": one.id, "begin": _text(one.begin), "end": _text(one.end), "digest": one.digest}
                for one in stones
                if one.track.stream_number == stream_number and one.begin < end and one.end > begin
            ],
        }

    async def still_kept(self, part: ChannelPart) -> Collection[int]:
        """Which sources have no tombstone: only those may be read, whether a file lies there or not."""
        if not part.sources:
            return ()
        begin = _moment(min(source.begin_us for source in part.sources))
        end = _moment(max(source.end_us for source in part.sources))
        segments, _ = await self._recording.segments(part.channel_id, begin, end)
        wanted = {(source.sequence, source.sha256) for source in part.sources}
        return {one.sequence for one in segments if (one.sequence, one.sha256) in wanted}


def _share(segment: Segment, begin: datetime, end: datetime) -> int:
    """About how many bytes of a segment lie in a span."""
    length = max(segment.end - segment.begin, timedelta(milliseconds=1))
    inside = max(min(segment.end, end) - max(segment.begin, begin), timedelta(0))
    return int(segment.bytes * (inside / length))


def _source(segment: Segment, path: Path) -> Source:
    return Source(
        str(path),
        segment.sequence,
        stored_time(segment.begin),
        stored_time(segment.end),
        segment.sha256,
        (segment.codec, segment.width, segment.height, segment.audio),
    )


def _evidence(segment: Segment, previous: str | None) -> dict[str, Any]:
    """Everything a link is made from (see `recording.rules.link`), so that anybody can make it again."""
    return {
        "stream": segment.track.stream_number,
        "sequence": segment.sequence,
        "begin_us": stored_time(segment.begin),
        "end_us": stored_time(segment.end),
        "bytes": segment.bytes,
        "sha256": segment.sha256,
        "codec": segment.codec,
        "width": segment.width,
        "height": segment.height,
        "audio": segment.audio,
        "pictures": segment.pictures,
        "key_frames": segment.key_frames,
        "gap_us": segment.gap_us,
        "gap_reason": segment.gap_reason,
        "device_pts": [segment.device_pts_begin, segment.device_pts_end],
        "previous_link": previous,
        "link": segment.link,
    }


def _moment(unix_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_us)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
