"""Bodies of what devices report by themselves: alarms, positions, linkages, subscriptions."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from commonview.api.schemas import Answer, Id, Name, Request
from commonview.network.events import (
    AlarmCode,
    AlarmState,
    LinkageAction,
    SubscriptionKind,
    SubscriptionStatus,
)

Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class AlarmOut(Answer):
    """An alarm that a device raised. `priority` 1 (gravest) to 4; `repeats`: the same one sent again."""

    id: str
    state: AlarmState
    device_id: str
    device_name: str
    source_id: str
    channel_id: str | None
    channel_name: str | None
    priority: int | None
    method: int | None
    type: int | None
    event_type: int | None
    code: AlarmCode
    description: str
    longitude: float | None
    latitude: float | None
    device_time: datetime | None
    received_at: datetime
    last_at: datetime
    repeats: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


class AlarmsOut(Answer):
    """A page of alarms, newest first; `cursor` asks for the next page, null at the end. `open` in all."""

    items: list[AlarmOut]
    cursor: str | None
    open: int


class AlarmAcknowledge(Request):
    """What somebody found."""

    note: Note = ""


class PositionOut(Answer):
    """Where a device said it was: degrees WGS-84, km/h, degrees clockwise from north, metres."""

    device_id: str
    source_id: str
    at: datetime
    device_time: datetime | None
    longitude: float
    latitude: float
    speed_kmh: float | None
    direction: float | None
    altitude_m: float | None


class LinkageBody(Request):
    """When such an alarm comes, do this. No `codes`, and null, mean any. At most once in `dead_time_s`."""

    name: Name
    enabled: bool = True
    device_id: Id | None = None
    source_id: Id | None = None
    codes: list[AlarmCode] = Field(default_factory=list, max_length=40)
    priority_at_most: Annotated[int, Field(ge=1, le=4)] | None = None
    action: LinkageAction
    target_channel_id: Id
    preset: Annotated[int, Field(ge=1, le=255)] | None = None
    dead_time_s: Annotated[int, Field(ge=0, le=86_400)] = 60

    @model_validator(mode="after")
    def _preset_named(self) -> Self:
        if (self.action is LinkageAction.CALL_PRESET) != (self.preset is not None):
            raise ValueError("preset goes with call_preset, and only with it")
        return self


class LinkageOut(Answer):
    """A linkage as it stands."""

    id: str
    name: str
    enabled: bool
    device_id: str | None
    source_id: str | None
    codes: list[AlarmCode]
    priority_at_most: int | None
    action: LinkageAction
    target_channel_id: str
    preset: int | None
    dead_time_s: int
    created_at: datetime


class SubscriptionOut(Answer):
    """One subscription to one device. `answer`: the status of the device's last answer to SUBSCRIBE."""

    kind: SubscriptionKind
    wanted: bool
    status: SubscriptionStatus
    answer: int | None
    since: datetime | None
    last_notice_at: datetime | None
    notices: int


class SubscriptionWish(Request):
    """Whether this device shall be subscribed to; null returns to the installation's setting."""

    wanted: bool | None
