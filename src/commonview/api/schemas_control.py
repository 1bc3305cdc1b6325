"""Bodies of control: orders, commands with their steps, what devices told, snapshots."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from commonview.api.schemas import Answer, Id, Request
from commonview.api.schemas_security import ReasonText
from commonview.network.control import (
    AnyManagingOrder,
    AnySteeringOrder,
    CapabilityVerdict,
    CommandFailure,
    CommandState,
)

Percent = Annotated[int, Field(ge=-100, le=100)]

EvidenceOut = dict[str, str | int | float]


class SteeringOrderRequest(Request):
    """One order that steers a camera."""

    order: AnySteeringOrder


class ManagingOrderRequest(Request):
    """One order that changes a device or a camera of it."""

    order: AnyManagingOrder


class SteerRequest(Request):
    """Where to, in percent of full speed: right, up, zoom in, focus near and aperture open are positive.

    Nothing at all means stop. A movement ends by itself 2 s after the last request.
    """

    pan: Percent = 0
    tilt: Percent = 0
    zoom: Percent = 0
    focus: Percent = 0
    aperture: Percent = 0


class SteeringOut(Answer):
    """Who steers a camera, and when that ends without renewal."""

    channel_id: str
    command_id: str
    holder_name: str
    ends_in_s: float


class CommandStepOut(Answer):
    """One step of a command, with its proof."""

    state: CommandState
    at: datetime
    evidence: EvidenceOut


class CommandOut(Answer):
    """A command and how far it has come; `accepted` means no more than that the device took the message."""

    id: str
    device_id: str
    channel_id: str | None
    kind: str
    parameters: dict[str, JsonValue]
    account_id: str
    account_name: str
    created_at: datetime
    state: CommandState
    failure: CommandFailure | None
    over: bool
    steps: list[CommandStepOut]


class CapabilityOut(Answer):
    """What a device or camera turned out to do or not to do. It warns, it blocks nothing."""

    device_id: str
    channel_id: str | None
    kind: str
    verdict: CapabilityVerdict
    failures: int
    command_id: str
    at: datetime
    evidence: EvidenceOut


class PresetOut(Answer):
    """A preset as the camera lists it; `number` null when its id is none that can be called."""

    preset_id: str
    preset_name: str
    number: int | None


class CruiseOut(Answer):
    """A cruise track by number and name."""

    number: int
    name: str


class CruisePointOut(Answer):
    """One point of a cruise: a preset, seconds of stay, speed 1 to 15."""

    preset_index: int
    stay_time_s: int | None
    speed: int | None


class CruiseDetailOut(Answer):
    """A cruise track with its points."""

    number: int
    name: str
    points: list[CruisePointOut]


class HomePositionOut(Answer):
    """Where a camera returns to by itself."""

    enabled: bool
    reset_time_s: int | None
    preset_index: int | None


class PositionOut(Answer):
    """Where a camera looks: degrees, tilt positive downwards; zoom as a factor."""

    pan: float | None
    tilt: float | None
    zoom: float | None
    horizontal_field_angle: float | None
    vertical_field_angle: float | None
    max_view_distance_m: float | None


class MemoryCardOut(Answer):
    """A memory card of a device; `status` as the standard words it."""

    number: int
    hdd_name: str
    status: str | None
    format_progress: int | None
    capacity_mb: int | None
    free_space_mb: int | None


class ConfigurationBlockOut(Answer):
    """One block of a configuration, by the standard's name of it."""

    type: str
    values: dict[str, JsonValue]


class SnapshotRequest(Request):
    """How many pictures, how far apart, and under what: a running grant, or a purpose and a reason."""

    count: Annotated[int, Field(ge=1, le=10)] = 1
    interval_s: Annotated[int, Field(ge=1, le=60)] = 1
    grant_id: Id | None = None
    purpose_id: Id | None = None
    reason: ReasonText | None = None
    duration_s: Annotated[int, Field(ge=1, le=86_400 * 31)] | None = None


class SnapshotStartedOut(Answer):
    """The snapshot is under way: follow the command."""

    access_id: str
    grant_id: str
    command: CommandOut


class SnapshotOut(Answer):
    """A picture that a camera uploaded; kept for 24 hours."""

    id: str
    channel_id: str
    command_id: str
    grant_id: str
    size_bytes: int
    received_at: datetime
