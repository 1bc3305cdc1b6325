"""From catalogue items to channels (GB/T 28181-2022 A.2.6.4, Annex E, Annex J). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.model import ChannelKind
from commonview.wire.gbid import ORGANISATION_TYPES, TypeCode, classify, is_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonview.network.model import Channel

_NOT_VIDEO = frozenset(
    {
        TypeCode.ALARM_CONTROLLER,
        TypeCode.ALARM_INPUT,
        TypeCode.ALARM_OUTPUT,
        TypeCode.MICROPHONE,
        TypeCode.SPEAKER,
        TypeCode.DISPLAY,
    }
)
_DEVICES = frozenset(
    {
        TypeCode.DVR,
        TypeCode.VIDEO_SERVER,
        TypeCode.ENCODER,
        TypeCode.DECODER,
        TypeCode.NVR,
        TypeCode.HYBRID_RECORDER,
        TypeCode.SIGNALLING_SERVER,
        TypeCode.BUSINESS_SERVER,
        TypeCode.MEDIA_SERVER,
        TypeCode.ACCESS_GATEWAY,
        TypeCode.STORAGE_SERVER,
        TypeCode.SECURITY_GATEWAY,
    }
)


def kind_of(gb_id: str) -> ChannelKind:
    """What an id says its bearer is; an id that says nothing is taken for a camera, as most such are."""
    if is_region(gb_id):
        return ChannelKind.ORGANISATION
    type_code = classify(gb_id).type
    if type_code in ORGANISATION_TYPES:
        return ChannelKind.ORGANISATION
    if type_code in _NOT_VIDEO:
        return ChannelKind.OTHER
    return ChannelKind.DEVICE if type_code in _DEVICES else ChannelKind.VIDEO


def watchable(channels: Mapping[str, Channel]) -> list[Channel]:
    """The channels to show, by id: video ones; of a device that lists none, its device items."""
    ordered = [channels[gb_id] for gb_id in sorted(channels)]
    video = [channel for channel in ordered if channel.kind is ChannelKind.VIDEO]
    return video or [channel for channel in ordered if channel.kind is ChannelKind.DEVICE]
