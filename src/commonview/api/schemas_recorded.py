"""What looks at central recordings ask and are told."""

from base64 import b64encode
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints

from commonview.api.recorded_files import Index
from commonview.api.schemas import Answer, Id, Request
from commonview.api.schemas_network import LiveGrantOut
from commonview.recording import Segment, SegmentUnderWay


class RecordedRequest(Request):
    """A look at what is recorded of a channel: a purpose and a reason, or a running grant."""

    channel_id: Id
    begin: AwareDatetime
    end: AwareDatetime
    purpose_id: Id | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None
    duration_s: Annotated[int, Field(ge=60, le=86400)] | None = None
    grant_id: Id | None = None


class SegmentOut(Answer):
    """One segment, and where to fetch it under this access.

    ``begin`` and ``end`` are by the server's clock. ``device_pts_begin`` and ``device_pts_end`` are the time
    stamps of the first and last picture by the device's own clock, 90 kHz as it sent them; None when it sent
    none that could be believed. One that ``is_open`` is not in the index yet and grows: end and bytes are
    those of now, without a hash.
    """

    stream_number: int
    sequence: int
    begin: AwareDatetime
    end: AwareDatetime
    bytes: int
    sha256: str
    codec: str
    width: int
    height: int
    audio: str
    gap_reason: str
    device_pts_begin: int | None
    device_pts_end: int | None
    is_open: bool
    url: str

    @classmethod
    def of(cls, segment: Segment | SegmentUnderWay, access_id: str) -> Self:
        """A segment under an access."""
        names = (
            "sequence",
            "begin",
            "end",
            "bytes",
            "sha256",
            "codec",
            "width",
            "height",
            "audio",
            "gap_reason",
            "device_pts_begin",
            "device_pts_end",
        )
        number = segment.track.stream_number
        return cls(
            **{name: getattr(segment, name) for name in names},
            stream_number=number,
            is_open=isinstance(segment, SegmentUnderWay),
            url=f"/api/recorded/{access_id}/{number}/{segment.sequence}",
        )


class SegmentIndexOut(Answer):
    """What a segment holds, and where.

    ``groups`` are (begins, in microseconds from the beginning of the segment; offset; bytes). The bytes
    before ``init_bytes`` and any group can be appended to a player's buffer. Of one that ``is_open`` this is
    what is there now: ``end`` and the last group grow, always by whole pictures, and more groups come.
    ``init`` are the bytes before ``init_bytes``, in base64 (RFC 4648 4).
    """

    begin: AwareDatetime
    end: AwareDatetime
    is_open: bool
    bytes: int
    init_bytes: int
    video_codec: str
    audio_codec: str
    width: int
    height: int
    init: str
    groups: list[tuple[int, int, int]]

    @classmethod
    def of(cls, index: Index) -> Self:
        """The index of a segment."""
        head, segment = index.contents.head, index.segment
        return cls(
            **{name: getattr(head, name) for name in head.__slots__},
            begin=segment.begin,
            end=segment.end,
            is_open=isinstance(segment, SegmentUnderWay),
            init=b64encode(index.contents.init).decode("ascii"),
            groups=[tuple(group) for group in index.contents.groups],
        )


class RecordedOut(Answer):
    """An opened look: its access record, the grant it stands on, and the segments.

    At most 10,000 are told at once; ``more_from`` says from when on there are more.
    """

    access_id: str
    channel_id: str
    grant: LiveGrantOut
    segments: list[SegmentOut]
    more_from: AwareDatetime | None


class RecordedSegments(Answer):
    """The segments under a look as they are now; ``more_from`` as in `RecordedOut`."""

    segments: list[SegmentOut]
    more_from: AwareDatetime | None
