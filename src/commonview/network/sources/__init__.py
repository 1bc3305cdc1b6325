"""Cameras and recorders that are asked by RTSP (RFC 2326) or ONVIF instead of registering themselves."""

from commonview.network.sources.errors import SourceFailed, SourceInvalid, SourceUnknown
from commonview.network.sources.model import (
    ChannelPlan,
    Source,
    SourceChannel,
    SourceCheck,
    SourceKind,
    SourceOutcome,
    SourceTest,
    SourceTransport,
    StreamProfile,
)
from commonview.network.sources.onvif import Discovered, OnvifPtz, SourceAlarm, SourceAlarmKind
from commonview.network.sources.records import Listing
from commonview.network.sources.service import Sources, SourceSettings
from commonview.network.sources.tls import TlsTrust, read_authorities

__all__ = [
    "ChannelPlan",
    "Discovered",
    "Listing",
    "OnvifPtz",
    "Source",
    "SourceAlarm",
    "SourceAlarmKind",
    "SourceChannel",
    "SourceCheck",
    "SourceFailed",
    "SourceInvalid",
    "SourceKind",
    "SourceOutcome",
    "SourceSettings",
    "SourceTest",
    "SourceTransport",
    "SourceUnknown",
    "Sources",
    "StreamProfile",
    "TlsTrust",
    "read_authorities",
]
