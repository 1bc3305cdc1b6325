"""The words of what devices report by themselves: alarms, positions, and our subscriptions to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SubscriptionKind(StrEnum):
    """What can be subscribed to (GB/T 28181-2022 9.11)."""

    CATALOGUE = "catalogue"
    ALARM = "alarm"
    MOBILE_POSITION = "mobile_position"
    PTZ_POSITION = "ptz_position"


class SubscriptionStatus(StrEnum):
    """Where a subscription of ours stands."""

    OFF = "off"
    QUEUED = "queued"
    ASKING = "asking"
    ACTIVE = "active"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeviceSubscription:
    """One subscription to one device. ``answer`` is the status of the device's last answer to SUBSCRIBE."""

    device_id: str
    kind: SubscriptionKind
    wanted: bool
    status: SubscriptionStatus
    answer: int | None
    since: datetime | None
    last_notice_at: datetime | None
    notices: int


class AlarmCode(StrEnum):
    """What an alarm says, by its method and type (A.2.5.3 and the table of alarm types)."""

    TELEPHONE = "telephone"
    SHORT_MESSAGE = "short_message"
    GPS = "gps"
    OTHER = "other"
    DEVICE = "device"
    VIDEO_LOST = "video_lost"
    TAMPER = "tamper"
    DISK_FULL = "disk_full"
    OVERHEATED = "overheated"
    TOO_COLD = "too_cold"
    VIDEO = "video"
    MANUAL = "manual"
    MOTION = "motion"
    LEFT_OBJECT = "left_object"
    REMOVED_OBJECT = "removed_object"
    TRIPWIRE = "tripwire"
    INTRUSION = "intrusion"
    WRONG_WAY = "wrong_way"
    LOITERING = "loitering"
    FLOW = "flow"
    DENSITY = "density"
    VIDEO_ANOMALY = "video_anomaly"
    FAST_MOTION = "fast_motion"
    OCCLUSION = "occlusion"
    STORAGE = "storage"
    DISK_FAULT = "disk_fault"
    FAN_FAULT = "fan_fault"
    UPLOAD_ASKED = "upload_asked"  # no alarm: a device asks that its picture be pulled (VideoUploadNotify)
    UNKNOWN = "unknown"


class AlarmState(StrEnum):
    """Whether somebody has looked at it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class DeviceAlarm:
    """An alarm that a device raised.

    ``source_id`` is the id in the message: the device itself, a channel or an alarm input; ``channel_id`` is
    set when it is a channel of the device's catalogue. ``priority`` 1 (gravest) to 4. ``device_time`` is the
    device's clock, ``received_at`` ours; ``repeats`` counts the same alarm sent again until ``last_at``.
    """

    id: str
    device_id: str
    source_id: str
    channel_id: str | None
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
    repeats: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    note: str = ""

    @property
    def state(self) -> AlarmState:
        """OPEN until somebody acknowledges it."""
        return AlarmState.OPEN if self.acknowledged_at is None else AlarmState.ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class DevicePosition:
    """Where a moving device said it was: degrees WGS-84, km/h, degrees clockwise from north, metres."""

    device_id: str
    source_id: str
    at: datetime
    device_time: datetime | None
    longitude: float
    latitude: float
    speed_kmh: float | None
    direction: float | None
    altitude_m: float | None


class LinkageAction(StrEnum):
    """What an alarm sets off.

    PREPARE_STREAM starts the channel's stream, so that whoever holds a grant sees it without waiting; it
    shows nothing to anybody. CALL_PRESET turns a camera to a preset.
    """

    PREPARE_STREAM = "prepare_stream"
    CALL_PRESET = "call_preset"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkageDraft:
    """When such an alarm comes, do this, as somebody asks for it. Empty ``codes`` and None mean any.

    Fires at most once in ``dead_time_s`` seconds.
    """

    name: str
    enabled: bool
    device_id: str | None
    source_id: str | None
    codes: tuple[AlarmCode, ...]
    priority_at_most: int | None
    action: LinkageAction
    target_channel_id: str
    preset: int | None
    dead_time_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage(LinkageDraft):
    """A linkage as it stands."""

    id: str
    created_at: datetime
