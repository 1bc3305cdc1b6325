"""The ONVIF devices among the sources: asked, steered and listened to."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commonview.network.sources.errors import SourceFailed
from commonview.network.sources.model import SourceOutcome, SourceTest
from commonview.network.sources.onvif.client import OnvifClient
from commonview.network.sources.onvif.events import PullPoint
from commonview.network.sources.onvif.ptz import OnvifPtz

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.foundation.settings import IpNetwork
    from commonview.network.sources.exchange import Credentials
    from commonview.network.sources.model import Source, SourceChannel
    from commonview.network.sources.onvif.model import OnvifEvent, SourceAlarmKind

log = logging.getLogger(__name__)

_BACK_OFF_S = (5.0, 15.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class SourceAlarm:
    """What a source says happened; ``gb_id`` is None when it concerns no channel, or one we do not know."""

    source_id: str
    gb_id: str | None
    kind: SourceAlarmKind
    active: bool
    at: datetime
    topic: str


class OnvifDesk:
    """Speaks to the ONVIF devices."""

    def __init__(self, networks: Sequence[IpNetwork], clock: Clock) -> None:
        self._networks = networks
        self._clock = clock
        self._clients: dict[str, OnvifClient] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self.on_alarm: Callable[[SourceAlarm], None] | None = None
        self.counters: Counter[str] = Counter()

    def client(self, source: Source, who: Credentials) -> OnvifClient:
        """The client of a source; its clock offset and services are learned once."""
        known = self._clients.get(source.id)
        if known is None:
            known = self._clients[source.id] = OnvifClient(source.url, who, self._networks, self._clock)
        return known

    async def ask(self, url: str, who: Credentials) -> SourceTest:
        """Everything a device says of itself. Raises `SourceInvalid`, `SourceFailed`."""
        client = OnvifClient(url, who, self._networks, self._clock)
        await client.synchronise()
        information = await client.information()
        return SourceTest(
            SourceOutcome.ANSWERED,
            url=client.url,
            manufacturer=information.manufacturer,
            model=information.model,
            firmware=information.firmware,
            channels=await client.channels(),
        )

    async def look(self, source: Source, who: Credentials) -> None:
        """Whether it is there and lets us in. Raises `SourceFailed`."""
        client = self.client(source, who)
        # Clocks drift and are set: a token by yesterday's offset would be refused.
        await client.synchronise()
        await client.information()

    def steer(self, source: Source, channel: SourceChannel, who: Credentials) -> OnvifPtz | None:
        """The steering of a channel; None when it cannot be steered."""
        if not channel.ptz_profile:
            return None
        return OnvifPtz(self.client(source, who), channel.ptz_profile)

    async def snapshot(self, source: Source, channel: SourceChannel, who: Credentials) -> bytes:
        """A JPEG of a channel. Raises `SourceFailed`."""
        if not channel.snapshot_url:
            raise SourceFailed(SourceOutcome.UNSUPPORTED, "the device offers no snapshots")
        return await self.client(source, who).snapshot(channel.snapshot_url)

    # -- events

    def listen(self, source: Source, who: Credentials) -> None:
        """Begin to listen to a device, with back-off; nothing changes when we do already."""
        if source.id not in self._listening:
            task = asyncio.get_running_loop().create_task(self._listen(source, who))
            self._listening[source.id] = task

    def forget(self, source_id: str) -> None:
        """A source was changed, turned off or removed: what is known of it is out of date."""
        self._clients.pop(source_id, None)
        task = self._listening.pop(source_id, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop listening; subscriptions run out by themselves within two minutes."""
        tasks = list(self._listening.values())
        self._listening.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, source: Source, who: Credentials) -> None:
        failures = 0
        while True:
            point = PullPoint(self.client(source, who))
            try:
                await point.open()
                while True:
                    events = await point.pull()
                    failures = 0
                    for event in events:
                        self._tell(source, event)
            except SourceFailed as error:
                self.counters[f"events_{error.outcome.value}"] += 1
                if error.outcome is SourceOutcome.UNSUPPORTED:
                    return
            except Exception:
                # One device's oddity must not end the listening for good, nor go unseen.
                self.counters["events_failed"] += 1
                log.exception("listening to source %s failed", source.id)
            finally:
                self.counters["events_not_taken"] += point.unused
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1

    def _tell(self, source: Source, event: OnvifEvent) -> None:
        self.counters["events"] += 1
        of = [one for one in source.channels if one.video_source == event.video_source]
        # A camera with one picture need not say which.
        channel = of[0] if of else source.channels[0] if len(source.channels) == 1 else None
        alarm = SourceAlarm(
            source.id,
            channel.gb_id if channel is not None else None,
            event.kind,
            event.active,
            event.at or self._clock.now(),
            event.topic,
        )
        if self.on_alarm is None:
            self.counters["events_unheard"] += 1
        else:
            self.on_alarm(alarm)
