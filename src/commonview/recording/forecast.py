"""How long the disks will do: pure, from bytes a day, plans, retention and room.

It says what it stands on, and that it does not know while there is too little: a camera counts once it was
watched for a day. What a track recorded in the last days it will record again, to the disks it wrote to
lately; what is recorded goes when its retention is over. Other files on the disks, and cameras to come, are
not foreseen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Final, TypeVar

from commonview.foundation.database import stored_time
from commonview.recording.days import DAY_US, WINDOW_DAYS, Day, day_of
from commonview.recording.model import (
    MINIMUM,
    DiskAlarm,
    DiskHealth,
    DiskPolicy,
    Hold,
    LegalClass,
    Plan,
    PlanMode,
    Track,
)
from commonview.recording.rules import MOST_DAYS, retention

ComparableT = TypeVar("ComparableT", int, datetime)

_LEAST: Final = timedelta(days=1)
"""So long a plan must have run before anything is said of its tracks."""

_STEADY: Final = frozenset({PlanMode.ALWAYS, PlanMode.SCHEDULE})


class ForecastState(StrEnum):
    """What is foreseen of a disk, or of all."""

    UNKNOWN = "unknown"
    """Too little was recorded to tell."""
    IDLE = "idle"
    """Nothing is to be recorded to it."""
    HOLDS = "holds"
    """What goes makes room for what comes."""
    FILLS = "fills"
    FULL = "full"
    """It has no room now."""
    GONE = "gone"
    """It cannot be looked at."""


class FullEffect(StrEnum):
    """What follows when a disk is full."""

    OLDEST_GOES = "oldest_goes"
    """The oldest that is not held, however young."""
    SHORTENS = "shortens"
    """Recordings go before their plan's time, and after the law's."""
    STOPS = "stops"
    """Once nothing is left that may go, recording stops."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foreseen of a disk, or of all of them as one (``disk_id`` is None)."""

    disk_id: str | None
    state: ForecastState
    bytes_per_day: int
    room_bytes: int
    kept_bytes: int
    peak_bytes: int | None
    """So much will be kept at most, where it does not fill."""
    days_until_full: float | None
    effect: FullEffect | None
    days_until_stop: float | None
    keeps_days: float | None
    """For so long recordings are there once it is full."""
    oldest_begin: datetime | None
    oldest_goes_at: datetime | None
    """When the first of what is kept now has been kept long enough, by the day."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The outlooks, and what they stand on."""

    at: datetime
    window_days: int
    measured_since: datetime | None
    """The earliest moment of the window that anything measured stands on."""
    planned: int
    """Tracks that enabled plans are for."""
    measured: int
    young: int
    """Tracks whose plan has not run for a day: they are left out."""
    silent: int
    """Tracks that should have been recorded in the window, and of which nothing came."""
    holds: int
    total: Outlook
    disks: tuple[Outlook, ...]


@dataclass(slots=True)
class _Going:
    """What leaves a disk, by days from today on."""

    goes: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Bytes kept now that go on a day."""
    ends: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """From a day on, so many bytes a day of what is recorded from now on go."""

    def add(self, other: _Going) -> None:
        """Both as one."""
        for mine, its in ((self.goes, other.goes), (self.ends, other.ends)):
            for day, count in its.items():
                mine[day] += count

    def growth(self, rate: float) -> Iterator[float]:
        """How much more is kept after each day, until it changes no more; the last goes on for ever."""
        ending = 0.0
        for day in range(1, max((*self.goes, *self.ends, 0)) + 2):
            ending += self.ends.get(day, 0.0)
            yield rate - ending - self.goes.get(day, 0.0)


@dataclass(slots=True)
class _Flow:
    """What comes to a disk and goes from it, by days from today on."""

    rate: float = 0.0
    kept: int = 0
    young: int = 0
    planned: _Going = field(default_factory=lambda: _Going())
    by_law: _Going = field(default_factory=lambda: _Going())
    """The same if everything went as soon as the law lets it."""
    oldest: datetime | None = None
    first_goes: int | None = None

    def add(self, other: _Flow) -> None:
        """Both as one."""
        self.rate += other.rate
        self.kept += other.kept
        self.young += other.young
        self.planned.add(other.planned)
        self.by_law.add(other.by_law)
        self.oldest = _least(self.oldest, other.oldest)
        self.first_goes = _least(self.first_goes, other.first_goes)


def foresee(
    recorded: Iterable[Day],
    disks: Sequence[DiskHealth],
    plans: Mapping[Track, Sequence[Plan]],
    legal_class: Callable[[str], LegalClass],
    holds: Sequence[Hold],
    now: datetime,
) -> Forecast:
    """What becomes of these disks. ``holds`` are the running ones."""
    by_track: dict[Track, list[Day]] = {track: [] for track in plans}
    for day in recorded:
        by_track.setdefault(day.track, []).append(day)
    flows: dict[str, _Flow] = defaultdict(_Flow)
    counted: Counter[str] = Counter()
    since: list[datetime] = []
    for track, its_days in by_track.items():
        running = [plan for plan in plans.get(track, ()) if plan.enabled]
        begun = _observed_since(running, its_days, now)
        kind, rates = _rates(running, its_days, begun, now)
        counted[kind] += 1
        if kind == "measured" and begun is not None:
            since.append(begun)
        if kind == "young":
            for disk_id in {day.disk_id for day in its_days}:
                flows[disk_id].young += 1
        held = [hold for hold in holds if hold.channel_id == track.channel_id]
        _flow(
            flows, its_days, rates, _lengths(plans.get(track, ()), legal_class(track.channel_id)), held, now
        )
    whole = _Flow()
    for disk in disks:
        whole.add(flows[disk.disk.id])
    # What was never recorded is on no disk yet.
    whole.young = counted["young"]
    nothing_known = counted["measured"] == 0 and counted["young"] > 0
    return Forecast(
        at=now,
        window_days=WINDOW_DAYS,
        measured_since=min(since, default=None),
        planned=counted.total() - counted["unplanned"],
        measured=counted["measured"],
        young=counted["young"],
        silent=counted["silent"],
        holds=len(holds),
        total=_outlook(None, whole, disks, nothing_known, now),
        disks=tuple(
            _outlook(disk.disk.id, flows[disk.disk.id], [disk], nothing_known, now) for disk in disks
        ),
    )


def _observed_since(plans: Sequence[Plan], recorded: Sequence[Day], now: datetime) -> datetime | None:
    """Since when a track has been watched, within the window; None while nothing tells."""
    if not plans:
        return None
    window = now - timedelta(microseconds=stored_time(now) % DAY_US, days=WINDOW_DAYS - 1)
    planned = min(plan.created_at for plan in plans)
    if any(plan.mode in _STEADY for plan in plans):
        first = min((day.begin for day in recorded), default=None)
        # It has been recorded since its first segment; before the first there is only the plan.
        return max(window, planned if first is None else first)
    return max(window, planned)


def _rates(
    plans: Sequence[Plan], recorded: Sequence[Day], since: datetime | None, now: datetime
) -> tuple[str, dict[str, float]]:
    """What is known of a track, and the bytes a day that come to each disk."""
    if since is None:
        return "unplanned", {}
    if now - since < _LEAST:
        return "young", {}
    recent = [day for day in recorded if day.day > day_of(now) - WINDOW_DAYS]
    total = sum(day.recorded_bytes for day in recent)
    if not total:
        return ("silent" if any(plan.mode in _STEADY for plan in plans) else "measured"), {}
    a_day = total / ((now - since) / timedelta(days=1))
    newest = max(day.day for day in recent if day.recorded_bytes)
    lately = {day.disk_id: day.recorded_bytes for day in recent if day.day == newest}
    share = sum(lately.values())
    return "measured", {disk_id: a_day * count / share for disk_id, count in lately.items()}


@dataclass(frozen=True, slots=True)
class _Lengths:
    planned: int
    by_law: int
    quota: int | None

    def kept_days(self, rate: float) -> int:
        """As the plan says, or until its quota is used up, but for as long as the law asks."""
        if self.quota is None or rate <= 0:
            return self.planned
        return min(self.planned, max(self.by_law, int(self.quota / rate)))


def _lengths(plans: Sequence[Plan], legal_class: LegalClass) -> _Lengths:
    quotas = [plan.quota_bytes for plan in plans if plan.quota_bytes is not None]
    return _Lengths(retention(plans, legal_class).days, MINIMUM[legal_class].days, min(quotas, default=None))


def _flow(
    flows: dict[str, _Flow],
    recorded: Sequence[Day],
    rates: Mapping[str, float],
    lengths: _Lengths,
    holds: Sequence[Hold],
    now: datetime,
) -> None:
    today = day_of(now)
    kept_days = lengths.kept_days(sum(rates.values()))
    for disk_id, rate in rates.items():
        flow = flows[disk_id]
        flow.rate += rate
        flow.planned.ends[kept_days + 1] += rate
        flow.by_law.ends[min(kept_days, lengths.by_law) + 1] += rate
    for day in recorded:
        if day.kept_bytes <= 0:
            continue
        flow = flows[day.disk_id]
        flow.kept += day.kept_bytes
        flow.oldest = _least(flow.oldest, day.begin)
        held_until = max((day_of(hold.ends_at) + 1 for hold in holds if _touches(hold, day.day)), default=0)
        goes = max(day.day + 1 + kept_days, held_until, today + 1) - today
        flow.planned.goes[goes] += day.kept_bytes
        flow.first_goes = _least(flow.first_goes, goes)
        by_law = max(day.day + 1 + min(kept_days, lengths.by_law), held_until, today + 1) - today
        flow.by_law.goes[by_law] += day.kept_bytes


def _touches(hold: Hold, day: int) -> bool:
    return day_of(hold.begin) <= day <= day_of(hold.end)


def _outlook(
    disk_id: str | None, flow: _Flow, disks: Sequence[DiskHealth], nothing_known: bool, now: datetime
) -> Outlook:
    there = [disk for disk in disks if DiskAlarm.GONE not in disk.alarms and disk.total_bytes > 0]
    room = sum(max(0, disk.free_bytes - disk.disk.reserve_bytes) for disk in there)
    full = _days_until(flow.rate, flow.planned, room)
    by_law = _days_until(flow.rate, flow.by_law, room)
    state = _state(flow, there, nothing_known, room, full)
    policies = {disk.disk.policy for disk in there}
    fills = state in (ForecastState.FILLS, ForecastState.FULL)
    effect = _effect(policies, by_law) if fills else None
    goes = flow.first_goes
    return Outlook(
        disk_id=disk_id,
        state=state,
        bytes_per_day=round(flow.rate),
        room_bytes=room,
        kept_bytes=flow.kept,
        peak_bytes=_peak(flow) if state is ForecastState.HOLDS else None,
        days_until_full=full if fills else None,
        effect=effect,
        days_until_stop=by_law if effect is FullEffect.STOPS else None,
        keeps_days=(flow.kept + room) / flow.rate if fills and flow.rate else None,
        oldest_begin=flow.oldest,
        oldest_goes_at=None if goes is None else _midnight(now) + timedelta(days=goes),
    )


def _state(
    flow: _Flow, there: Sequence[DiskHealth], nothing_known: bool, room: int, full: float | None
) -> ForecastState:
    if not there:
        return ForecastState.GONE
    if nothing_known or (flow.rate <= 0 and flow.young):
        return ForecastState.UNKNOWN
    if flow.rate <= 0:
        return ForecastState.IDLE
    if full is None:
        return ForecastState.HOLDS
    return ForecastState.FULL if room <= 0 else ForecastState.FILLS


def _effect(policies: set[DiskPolicy], by_law: float | None) -> FullEffect | None:
    if policies == {DiskPolicy.OLDEST_FIRST}:
        return FullEffect.OLDEST_GOES
    if policies == {DiskPolicy.KEEP_MINIMUM}:
        return FullEffect.SHORTENS if by_law is None else FullEffect.STOPS
    return None  # each disk has its own


def _days_until(rate: float, going: _Going, room: int) -> float | None:
    """Days until so much more is kept than now; None when it never is."""
    more, net = 0.0, 0.0
    day = 0
    for day, net in enumerate(going.growth(rate)):
        if more + net > room:
            return day + (room - more) / net
        more += net
    if net < 1:  # bytes a day
        return None
    return min(day + 1 + (room - more) / net, float(MOST_DAYS))


def _peak(flow: _Flow) -> int:
    return round(max(accumulate(flow.planned.growth(flow.rate), initial=float(flow.kept))))


def _midnight(now: datetime) -> datetime:
    return now - timedelta(microseconds=stored_time(now) % DAY_US)


def _least(one: ComparableT | None, other: ComparableT | None) -> ComparableT | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
