"""ONVIF devices: found, described, steered, and heard (Profile S and T)."""

from commonview.network.sources.onvif.client import OnvifClient
from commonview.network.sources.onvif.desk import OnvifDesk, SourceAlarm
from commonview.network.sources.onvif.discovery import discover
from commonview.network.sources.onvif.events import PullPoint
from commonview.network.sources.onvif.model import (
    Discovered,
    Information,
    MediaProfile,
    OnvifEvent,
    Preset,
    Services,
    SourceAlarmKind,
)
from commonview.network.sources.onvif.ptz import OnvifPtz

__all__ = [
    "Discovered",
    "Information",
    "MediaProfile",
    "OnvifClient",
    "OnvifDesk",
    "OnvifEvent",
    "OnvifPtz",
    "Preset",
    "PullPoint",
    "Services",
    "SourceAlarm",
    "SourceAlarmKind",
    "discover",
]
