"""The words of exports: what is ordered, what came out, how it stands. Times are aware and UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.rendering.cutting import Source


class CutMode(StrEnum):
    """Where a cut may be."""

    KEY_FRAMES = "key_frames"
    """At key frames, outwards: nothing is encoded."""
    EXACT = "exact"
    """At pictures: only the edges are encoded, where the codec allows it."""


class ExportState(StrEnum):
    """How an export stands."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its files were removed: they had been kept as long as they are."""


LIVING = frozenset({ExportState.WAITING, ExportState.RUNNING})


@dataclass(frozen=True, slots=True)
class Terms:
    """What was ordered, by whom, under what. Stands in the manifest as it is."""

    channel_ids: tuple[str, ...]
    access_ids: tuple[str, ...]
    """The access record of each channel."""
    stream_number: int
    begin: datetime
    end: datetime
    cut: CutMode
    time_zone: str | None
    """Burn the time of this zone into every picture."""
    watermark: str
    """Burn this into every picture, or nothing."""
    username: str
    purpose: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelPart:
    """What there is of one channel, and what the manifest says of it besides."""

    channel_id: str
    stem: str
    """Its files are called so, with a number behind."""
    sources: tuple[Source, ...]
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of a finished export."""

    name: str
    channel_id: str
    """Empty for the manifest."""
    bytes: int
    sha256: str
    crc32: int


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it stands. ``progress`` is 0 to 1 and known while it runs."""

    id: str
    account_id: str
    grant_id: str
    terms: Terms
    state: ExportState
    failure: str | None
    """A stable code, when it failed."""
    files: tuple[ExportFile, ...]
    bytes: int
    created_at: datetime
    ended_at: datetime | None
    kept_until: datetime | None
    progress: float = 0.0
