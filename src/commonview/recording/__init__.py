"""Central recordings: planned, chained, provable, found by a timeline. The front door of the room."""

from commonview.recording.doctor import Doctor, Finding, FindingKind, Report
from commonview.recording.forecast import Forecast, ForecastState, FullEffect, Outlook
from commonview.recording.heads import HeadsBook
from commonview.recording.model import (
    DeletionRule,
    Disk,
    DiskAlarm,
    DiskHealth,
    DiskPolicy,
    Gap,
    GapReason,
    Hold,
    HoldState,
    LegalClass,
    Plan,
    PlanMode,
    RecordingError,
    RecordingInvalid,
    RecordingUnknown,
    Segment,
    Tombstone,
    Track,
    TrackState,
    TrackStatus,
    WeeklySpan,
)
from commonview.recording.service import RecordingService
from commonview.recording.timeline import Line
from commonview.recording.under_way import SegmentUnderWay, SegmentUnfinished

__all__ = [
    "DeletionRule",
    "Disk",
    "DiskAlarm",
    "DiskHealth",
    "DiskPolicy",
    "Doctor",
    "Finding",
    "FindingKind",
    "Forecast",
    "ForecastState",
    "FullEffect",
    "Gap",
    "GapReason",
    "HeadsBook",
    "Hold",
    "HoldState",
    "LegalClass",
    "Line",
    "Outlook",
    "Plan",
    "PlanMode",
    "RecordingError",
    "RecordingInvalid",
    "RecordingService",
    "RecordingUnknown",
    "Report",
    "Segment",
    "SegmentUnderWay",
    "SegmentUnfinished",
    "Tombstone",
    "Track",
    "TrackState",
    "TrackStatus",
    "WeeklySpan",
]
