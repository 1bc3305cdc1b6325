"""Which id a voice is addressed to (GB/T 28181-2022 9.12). Pure.

A loudspeaker is a child of type 137 whose parent is the device it is built into; addressing that device means
all of its loudspeakers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview.network.model import ChannelKind
from commonview.wire.gbid import TypeCode, classify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from commonview.network.model import Channel


def is_speaker(gb_id: str) -> bool:
    """Whether the id is that of a loudspeaker."""
    return classify(gb_id).type == TypeCode.SPEAKER


def target_of(channel: Channel, items: Iterable[Channel]) -> str:
    """Whom to address to be heard at this channel; ``items`` is the catalogue of its device.

    Its own loudspeaker; itself when it has several; the loudspeakers of its device when it is the only
    camera there; else itself, for most cameras list none and speak all the same.
    """
    if is_speaker(channel.gb_id):
        return channel.gb_id
    present = [item for item in items if item.vanished_at is None]
    speakers = [item for item in present if is_speaker(item.gb_id)]
    own = [one for one in speakers if channel.gb_id in one.parent_id.split("/")]
    if own:
        return own[0].gb_id if len(own) == 1 else channel.gb_id
    cameras = [item for item in present if item.kind is ChannelKind.VIDEO]
    of_device = [one for one in speakers if channel.device_id in one.parent_id.split("/")]
    if of_device and len(cameras) <= 1:
        return of_device[0].gb_id if len(of_device) == 1 else channel.device_id
    return channel.gb_id
