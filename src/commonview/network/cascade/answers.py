"""What we answer for ourselves: who we are and how we and our channels are (A.2.6.5, A.2.6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonview import __version__
from commonview.network.cascade.directory import MAKER
from commonview.wire.manscdp import DeviceInfo, DeviceStatus
from commonview.wire.times import write_time

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.network.cascade.model import SuperiorSettings
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.wire.manscdp import DeviceInfoQuery, DeviceStatusQuery


def own_info(query: DeviceInfoQuery, offered: int) -> DeviceInfo:
    """This platform; ``offered`` is how many channels the superior may see."""
    return DeviceInfo(
        sn=max(1, query.sn),
        device_id=query.device_id,
        device_name=MAKER,
        manufacturer=MAKER,
        model=MAKER,
        firmware=__version__,
        channel=offered,
    )


def channel_info(query: DeviceInfoQuery, record: DeviceRecord, channel: Channel, name: str) -> DeviceInfo:
    """A channel, as its device and catalogue told it."""
    return DeviceInfo(
        sn=max(1, query.sn),
        device_id=query.device_id,
        device_name=name,
        manufacturer=channel.manufacturer or record.manufacturer,
        model=channel.model or record.model,
        firmware=record.firmware,
        channel=1,
    )


def own_status(query: DeviceStatusQuery, now: datetime) -> DeviceStatus:
    """We answer, so we are well."""
    return DeviceStatus(sn=max(1, query.sn), device_id=query.device_id, device_time=write_time(now))


def channel_status(query: DeviceStatusQuery, on: bool, now: datetime) -> DeviceStatus:
    """Whether a channel can be watched; its clock is not known here, so ours is told."""
    return DeviceStatus(
        sn=max(1, query.sn),
        device_id=query.device_id,
        online="ONLINE" if on else "OFFLINE",
        status="OK" if on else "ERROR",
        device_time=write_time(now),
    )


def unknown_status(query: DeviceStatusQuery) -> DeviceStatus:
    """Of a channel that is not shared nothing is told."""
    return DeviceStatus(
        sn=max(1, query.sn), device_id=query.device_id, result="ERROR", online="OFFLINE", status="ERROR"
    )


def unknown_info(query: DeviceInfoQuery) -> DeviceInfo:
    """As `unknown_status`."""
    return DeviceInfo(sn=max(1, query.sn), device_id=query.device_id, result="ERROR")


def is_self(settings: SuperiorSettings, device_id: str) -> bool:
    """Whether a superior means the platform itself."""
    return device_id == settings.local_id
