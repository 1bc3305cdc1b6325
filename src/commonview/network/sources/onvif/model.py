"""What an ONVIF device tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Services:
    """URLs of the services; empty where the device has none. Hosts are the device's own, whatever it says."""

    media: str = ""
    media2: str = ""
    ptz: str = ""
    events: str = ""


@dataclass(frozen=True, slots=True)
class Information:
    """Maker and model."""

    manufacturer: str
    model: str
    firmware: str
    serial: str


@dataclass(frozen=True, slots=True)
class MediaProfile:
    """A media profile (Profile S or T). ``codec`` is `h264`, `h265` or another word of the device."""

    token: str
    name: str
    video_source: str
    codec: str
    width: int
    height: int
    has_ptz: bool


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset of a PTZ node."""

    token: str
    name: str


class SourceAlarmKind(StrEnum):
    """What an event of a source is about; kept generic."""

    MOTION = "motion"
    TAMPER = "tamper"
    SIGNAL_LOSS = "signal_loss"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class OnvifEvent:
    """A property event: ``active`` says whether it begins or ends; ``video_source`` where, when told."""

    kind: SourceAlarmKind
    active: bool
    at: datetime | None
    video_source: str
    topic: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """A device that answered a probe. ``url`` is its device service at the address that answered."""

    address: str
    url: str
    name: str
    hardware: str
    endpoint: str
