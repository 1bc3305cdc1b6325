"""Disks of recordings, and how long they will do, as the API shows them."""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints

from commonview.api.schemas import Answer, Request
from commonview.recording import (
    DiskAlarm,
    DiskHealth,
    DiskPolicy,
    Forecast,
    ForecastState,
    FullEffect,
    Outlook,
)


class DiskIn(Request):
    """Another folder to record to."""

    root: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    policy: DiskPolicy = DiskPolicy.KEEP_MINIMUM
    reserve_bytes: Annotated[int, Field(ge=0)] = 2 * 2**30


class DiskChange(Request):
    """What gives way when the disk is full, and how much is kept free."""

    policy: DiskPolicy
    reserve_bytes: Annotated[int, Field(ge=0)]


class DiskOut(Answer):
    """A disk as it was seen last."""

    id: str
    root: str
    policy: DiskPolicy
    reserve_bytes: int
    total_bytes: int
    free_bytes: int
    recorded_bytes: int
    checked_at: AwareDatetime | None
    alarms: list[DiskAlarm]

    @classmethod
    def of(cls, health: DiskHealth) -> Self:
        """A disk and its health."""
        return cls(
            id=health.disk.id,
            root=health.disk.root,
            policy=health.disk.policy,
            reserve_bytes=health.disk.reserve_bytes,
            total_bytes=health.total_bytes,
            free_bytes=health.free_bytes,
            recorded_bytes=health.recorded_bytes,
            checked_at=health.checked_at,
            alarms=list(health.alarms),
        )


class OutlookOut(Answer):
    """What is foreseen of a disk, or of all disks as one (`disk_id` is null)."""

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
    """For so many days recordings are there once it is full."""
    oldest_begin: AwareDatetime | None
    oldest_goes_at: AwareDatetime | None

    @classmethod
    def of(cls, outlook: Outlook) -> Self:
        """An outlook."""
        return cls(**{name: getattr(outlook, name) for name in Outlook.__slots__})


class ForecastOut(Answer):
    """How long the disks will do, and what that stands on."""

    at: AwareDatetime
    window_days: int
    """It goes by what was recorded in so many days, today among them."""
    measured_since: AwareDatetime | None
    planned: int
    """Tracks that plans want recorded."""
    measured: int
    young: int
    """Tracks that were not watched for a day yet: they are left out."""
    silent: int
    """Tracks of which nothing came although plans want them recorded."""
    holds: int
    total: OutlookOut
    disks: list[OutlookOut]

    @classmethod
    def of(cls, forecast: Forecast) -> Self:
        """A forecast."""
        names = ("at", "window_days", "measured_since", "planned", "measured", "young", "silent", "holds")
        return cls(
            **{name: getattr(forecast, name) for name in names},
            total=OutlookOut.of(forecast.total),
            disks=[OutlookOut.of(one) for one in forecast.disks],
        )
