"""Rules of recording, pure: what the law asks for, when a plan records, how a chain is linked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from commonview.foundation.database import stored_time
from commonview.recording.model import (
    DEFAULT_DAYS,
    MINIMUM,
    Hold,
    HoldState,
    LegalClass,
    Plan,
    PlanMode,
    RecordingInvalid,
    Segment,
    Tombstone,
    WeeklySpan,
)

MOST_DAYS: Final = 3650
MOST_SPANS: Final = 100
DAY_MINUTES: Final = 1440
GENESIS: Final = "0" * 64
"""What the first segment of a track is linked to."""

FOLLOWS_US: Final = 1_000_000
"""Segments that lie no further apart than this follow each other."""

_TEXT_CHARS: Final = 1000


def check_retention(days: int, legal_basis: str, classes: Iterable[LegalClass]) -> None:
    """Refuse what Decree 799 Art. 17 does not allow for channels of these classes.

    Raises:
        RecordingInvalid: `retention_too_short`, `retention_needs_basis`, `retention_too_long`.
    """
    for legal_class in classes:
        least = MINIMUM[legal_class].days
        if days < least:
            raise RecordingInvalid(
                f"recordings of class {legal_class.value} are kept for {least} days at least, not {days}",
                code="retention_too_short",
                field="retention_days",
                minimum=least,
            )
    if days > MOST_DAYS:
        raise RecordingInvalid(f"at most {MOST_DAYS} days", code="retention_too_long", field="retention_days")
    if days > DEFAULT_DAYS and not legal_basis.strip():
        raise RecordingInvalid(
            f"recordings that are kept for more than {DEFAULT_DAYS} days need a legal basis",
            code="retention_needs_basis",
            field="legal_basis",
        )


def check_plan(plan: Plan, classes: Iterable[LegalClass]) -> None:
    """Refuse a plan that makes no sense. Raises `RecordingInvalid`."""
    check_text("name", plan.name, 128)
    check_text("purpose", plan.purpose, _TEXT_CHARS)
    if (plan.channel_id is None) == (plan.group_id is None):
        raise RecordingInvalid("a plan is for one channel or for one group", field="channel_id")
    if not 0 <= plan.stream_number <= 7:
        raise RecordingInvalid("the stream is 0 (main) to 7", field="stream_number")
    if not 1 <= plan.after_event_s <= 3600:
        raise RecordingInvalid("1 to 3600 seconds after an event", field="after_event_s")
    if plan.quota_bytes is not None and plan.quota_bytes < 2**20:
        raise RecordingInvalid("a quota has 1 MiB at least", field="quota_bytes")
    if (plan.mode is PlanMode.SCHEDULE) != bool(plan.spans) or len(plan.spans) > MOST_SPANS:
        raise RecordingInvalid(f"a schedule, and only a schedule, has 1 to {MOST_SPANS} spans", field="spans")
    for span in plan.spans:
        if not (0 <= span.weekday <= 6 and 0 <= span.begin_minute < span.end_minute <= DAY_MINUTES):
            raise RecordingInvalid("a span begins before it ends, on one day of the week", field="spans")
    try:
        ZoneInfo(plan.time_zone)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError, and OSError for folders
        raise RecordingInvalid(f"no time zone {plan.time_zone[:40]!r}", field="time_zone") from error
    except KeyError as error:
        raise RecordingInvalid(f"no time zone {plan.time_zone[:40]!r}", field="time_zone") from error
    check_retention(plan.retention_days, plan.legal_basis, classes)


def check_text(field: str, text: str, limit: int) -> None:
    """Refuse what is empty, too long or not printable. Raises `RecordingInvalid`."""
    if not 0 < len(text.strip()) <= limit or not text.isprintable():
        raise RecordingInvalid(f"{field} has 1 to {limit} printable characters", field=field)


def records_at(plan: Plan, at: datetime, demanded: bool, event_until: datetime | None) -> bool:
    """Whether the plan records at this moment."""
    if not plan.enabled:
        return False
    if plan.mode is PlanMode.ALWAYS:
        return True
    if plan.mode is PlanMode.ON_DEMAND:
        return demanded
    if plan.mode is PlanMode.ON_EVENT:
        return event_until is not None and at < event_until
    return in_spans(plan.spans, at.astimezone(ZoneInfo(plan.time_zone)))


def in_spans(spans: Sequence[WeeklySpan], local: datetime) -> bool:
    """Whether a local time lies in one of the spans."""
    minute = local.hour * 60 + local.minute
    return any(
        span.weekday == local.weekday() and span.begin_minute <= minute < span.end_minute for span in spans
    )


def keeps_ready(plan: Plan) -> bool:
    """Whether the stream is held while nothing is recorded, so that the past key frame is there."""
    return plan.enabled and plan.mode is PlanMode.ON_EVENT


def link(previous: str, segment: Segment) -> str:
    """The link of a segment: SHA-256 over the link before it and everything the index says of it.

    Only where the file lies is left out: files may be moved to another disk.
    """
    said = {
        "channel": segment.track.channel_id,
        "stream": segment.track.stream_number,
        "seq": segment.sequence,
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
    }
    return hashlib.sha256(previous.encode() + _canonical(said).encode()).hexdigest()


def _canonical(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def chained(previous: str, segment: Segment) -> Segment:
    """The segment with its link."""
    return replace(segment, link=link(previous, segment))


def digest(stone: Tombstone, links: Iterable[str]) -> str:
    """One number for everything a tombstone says and the links of the segments it covers."""
    said = {
        "id": stone.id,
        "channel": stone.track.channel_id,
        "stream": stone.track.stream_number,
        "first": stone.first_sequence,
        "last": stone.last_sequence,
        "begin_us": stored_time(stone.begin),
        "end_us": stored_time(stone.end),
        "bytes": stone.bytes,
        "rule": stone.rule.value,
        "at_us": stored_time(stone.at),
        "links": list(links),
    }
    return hashlib.sha256(_canonical(said).encode()).hexdigest()


def is_held(segment: Segment, holds: Iterable[Hold], now: datetime) -> bool:
    """Whether a running hold touches the segment."""
    return any(
        hold.channel_id == segment.track.channel_id
        and hold.state(now) is HoldState.RUNNING
        and segment.begin < hold.end
        and segment.end > hold.begin
        for hold in holds
    )


def retention(plans: Iterable[Plan], legal_class: LegalClass) -> timedelta:
    """How long a track is kept: as the most demanding of its plans says, else by default; never less than the
    law asks of its class, even where a group with a shorter plan took the channel in later."""
    planned = timedelta(days=max((plan.retention_days for plan in plans), default=DEFAULT_DAYS))
    return max(planned, MINIMUM[legal_class])
