"""What we answer for ourselves: who we are and how we and our channels are (A.2.6.5, A.2.6.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from commonview import __version__
from commonview.network.cascade.directory import MAKER
from commonview.wire.manscdp import DeviceInfo, DeviceInfoQuery, DeviceStatus, DeviceStatusQuery
from commonview.wire.times import write_time

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.network.cascade.link import Link
    from commonview.network.cascade.model import SuperiorSettings
    from commonview.network.cascade.service import Cascade
    from commonview.network.directory import DeviceRecord
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import ServerTransaction


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


class OwnAnswers:
    """Answers superiors that ask about us, or about a channel that is shared with them."""

    def __init__(self, cascade: Cascade, clock: Clock) -> None:
        self._cascade = cascade
        self._clock = clock
        cascade.messages.enter(DeviceInfoQuery, self._info_asked)
        cascade.messages.enter(DeviceStatusQuery, self._status_asked)

    def _info_asked(self, link: Link, query: DeviceInfoQuery, _transaction: ServerTransaction) -> int:
        settings = link.superior.settings
        if is_self(settings, query.device_id):
            self._cascade.spawn(self._tell_own_info(link, query))
            return 200
        found = self._shared(link, query.device_id)
        answer = (
            unknown_info(query) if found is None else channel_info(query, found[0], found[1], found[1].name)
        )
        self._cascade.spawn(self._cascade.say(link, answer))
        return 200

    async def _tell_own_info(self, link: Link, query: DeviceInfoQuery) -> None:
        places = await asyncio.to_thread(self._cascade.directories.offered, link.superior)
        await self._cascade.say(link, own_info(query, len(places)))

    def _status_asked(self, link: Link, query: DeviceStatusQuery, _transaction: ServerTransaction) -> int:
        now = self._clock.now()
        if is_self(link.superior.settings, query.device_id):
            answer = own_status(query, now)
        else:
            found = self._shared(link, query.device_id)
            on = found is not None and found[0].online and found[1].status.value != "off"
            answer = unknown_status(query) if found is None else channel_status(query, on, now)
        self._cascade.spawn(self._cascade.say(link, answer))
        return 200

    def _shared(self, link: Link, own_id: str) -> tuple[DeviceRecord, Channel] | None:
        """A channel that the superior may know of, by any action that is shared."""
        found = self._cascade.offers.meant(link, own_id)
        if found is None:
            return None
        actions = {action for one in self._cascade.shares.of(link.superior.id) for action in one.actions}
        covered = (self._cascade.shares.covering(link.superior, found[1], action) for action in actions)
        return found if any(covered) else None
