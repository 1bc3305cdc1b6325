"""Alarms of devices: written, answered, told, and let loose on the linkages (GB/T 28181-2022 9.4).

An alarm is answered once it is durable. A device that hears no answer sends it again, and some do anyway: the
same alarm is one line that counts its repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from commonview.foundation.ids import new_id
from commonview.network.events import store
from commonview.network.events.errors import AlarmAcknowledged, AlarmUnknown
from commonview.network.events.model import AlarmCode, AlarmState, DeviceAlarm
from commonview.network.events.rules import REPEATED_WITHIN, alarm_code, in_utc, repeats
from commonview.network.exchange import PeerRefused
from commonview.network.group_commit import GroupCommit
from commonview.network.model import DeviceOrigin
from commonview.wire.manscdp import AlarmResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from commonview.foundation.clock import Clock
    from commonview.foundation.database import Database
    from commonview.foundation.errors import StorageUnavailable
    from commonview.network.directory import DeviceRecord
    from commonview.network.exchange import Exchange
    from commonview.wire.manscdp import Alarm, VideoUploadNotify

log = logging.getLogger(__name__)

_RECENT: Final = 10_000
_DESCRIPTION_CHARS: Final = 512
_WAITING: Final = 20_000


@dataclass(slots=True)
class _Taken:
    """An alarm that waits for the disk; ``new`` or come again. ``sn`` None: it has no answer."""

    record: DeviceRecord
    alarm: DeviceAlarm
    sn: int | None
    new: bool


class AlarmBook:
    """Takes alarms in. All methods run on the event loop."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        clock: Clock,
        *,
        channel_of: Callable[[str, str], str | None],
        on_raised: Callable[[DeviceAlarm], None],
        on_changed: Callable[[str], None],
    ) -> None:
        """``channel_of(device_id, gb_id)``: the house-wide id, if there is such a channel.

        ``on_raised``: a new alarm is durable; ``on_changed(alarm_id)``: one changed.
        """
        self._channel_of = channel_of
        self._database = database
        self._exchange = exchange
        self._clock = clock
        self._on_raised = on_raised
        self._on_changed = on_changed
        self._recent: OrderedDict[tuple[str, str, int | None, int | None], DeviceAlarm] = OrderedDict()
        self._commit: GroupCommit[_Taken] = GroupCommit(database, _write, self._committed)
        self._answers: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()

    async def close(self) -> None:
        """Make durable what is queued."""
        await self._commit.close()
        for task in self._answers:
            task.cancel()

    def take(self, record: DeviceRecord, message: Alarm) -> None:
        """An alarm came, in a MESSAGE or in a NOTIFY."""
        self.counters["alarm"] += 1
        channel_id = self._channel_of(record.id, message.device_id)
        self._keep(record, _read(record, message, self._clock.now(), channel_id), message.sn)

    def take_wish(self, record: DeviceRecord, message: VideoUploadNotify) -> None:
        """A device asks that its picture be pulled (A.2.5.9).

        Pictures are looked at for a purpose, so nothing is pulled for the asking: it is shown among the
        alarms, and a linkage may prepare the stream. The notice has no business answer.
        """
        self.counters["upload_asked"] += 1
        channel_id = self._channel_of(record.id, message.device_id)
        self._keep(record, _wish(record, message, self._clock.now(), channel_id), None)

    def _keep(self, record: DeviceRecord, raised: DeviceAlarm, sn: int | None) -> None:
        if self._commit.pending() >= _WAITING:
            self.counters["alarm_shed"] += 1  # not answered, so the device sends it again
            return
        key = (record.id, raised.source_id, raised.method, raised.type)
        known = self._recent.pop(key, None)
        again = known is not None and repeats(known, raised)
        if known is not None and again:
            raised = replace(known, repeats=known.repeats + 1, last_at=raised.received_at)
            self.counters["alarm_repeated"] += 1
        self._recent[key] = raised
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        self._commit.submit(_Taken(record, raised, sn, new=not again))

    def _committed(self, batch: Sequence[_Taken], error: StorageUnavailable | None) -> None:
        if error is not None:
            self.counters["alarm_unwritten"] += len(batch)
            log.error("alarms of devices are not written and not answered: %s", error.message)
            for taken in batch:
                self._recent.pop(
                    (taken.record.id, taken.alarm.source_id, taken.alarm.method, taken.alarm.type), None
                )
            return
        for taken in batch:
            self._answer(taken)
            if taken.new:
                self._on_raised(taken.alarm)
            else:
                self._on_changed(taken.alarm.id)

    def _answer(self, taken: _Taken) -> None:
        if taken.sn is None or taken.record.origin is not DeviceOrigin.GB28181:
            return  # a source is asked for its events and waits for no answer
        task = asyncio.get_running_loop().create_task(self._send_answer(taken, taken.sn))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _send_answer(self, taken: _Taken, sn: int) -> None:
        answer = AlarmResponse(sn=max(1, sn), device_id=taken.alarm.source_id, result="OK")
        try:
            await self._exchange.send(taken.record, answer)
        except PeerRefused:
            self.counters["alarm_answer_refused"] += 1
        except Exception as error:  # noqa: BLE001 - counted; the alarm itself is safe
            self.counters["alarm_answer_lost"] += 1
            log.info("the answer to an alarm of %s was not delivered: %s", taken.record.id, error)

    # -- the list

    async def list(
        self,
        *,
        state: AlarmState | None = None,
        device_id: str | None = None,
        channel_id: str | None = None,
        codes: Iterable[AlarmCode] = (),
        since: datetime | None = None,
        before: datetime | None = None,
        after_id: str = "",
        limit: int = 100,
    ) -> list[DeviceAlarm]:
        """Alarms, newest first; see `store.list_alarms`."""

        def read() -> list[DeviceAlarm]:
            with self._database.read() as conn:
                return store.list_alarms(
                    conn,
                    state=state,
                    device_id=device_id,
                    channel_id=channel_id,
                    codes=tuple(codes),
                    since=since,
                    before=before,
                    after_id=after_id,
                    limit=limit,
                )

        return await asyncio.to_thread(read)

    async def get(self, alarm_id: str) -> DeviceAlarm:
        """One alarm. Raises `AlarmUnknown`."""

        def read() -> DeviceAlarm | None:
            with self._database.read() as conn:
                return store.alarm(conn, alarm_id)

        found = await asyncio.to_thread(read)
        if found is None:
            raise AlarmUnknown(f"no alarm {alarm_id[:40]!r}", alarm_id=alarm_id[:40])
        return found

    async def count_open(self) -> int:
        """How many nobody has acknowledged."""

        def read() -> int:
            with self._database.read() as conn:
                return store.count_open(conn)

        return await asyncio.to_thread(read)

    async def acknowledge(self, alarm_id: str, by: str, note: str) -> DeviceAlarm:
        """Somebody has looked at it. Raises `AlarmUnknown`, `AlarmAcknowledged`, `StorageUnavailable`."""
        await self.get(alarm_id)

        def write() -> bool:
            with self._database.begin() as conn:
                return store.acknowledge(conn, alarm_id, self._clock.now(), by, note)

        if not await asyncio.to_thread(write):
            raise AlarmAcknowledged("somebody has acknowledged this alarm already", alarm_id=alarm_id)
        self._on_changed(alarm_id)
        return await self.get(alarm_id)

    async def forget(self, keep: timedelta) -> None:
        """Delete acknowledged alarms older than ``keep``."""

        def write() -> int:
            with self._database.begin() as conn:
                return store.forget_alarms(conn, self._clock.now() - keep)

        self.counters["alarm_forgotten"] += await asyncio.to_thread(write)


def _read(record: DeviceRecord, message: Alarm, now: datetime, channel_id: str | None) -> DeviceAlarm:
    return DeviceAlarm(
        id=new_id(),
        device_id=record.id,
        source_id=message.device_id,
        channel_id=channel_id,
        priority=message.alarm_priority,
        method=message.alarm_method,
        type=message.alarm_type,
        event_type=message.event_type,
        code=alarm_code(message.alarm_method, message.alarm_type),
        description=message.alarm_description[:_DESCRIPTION_CHARS],
        longitude=message.longitude,
        latitude=message.latitude,
        device_time=in_utc(message.alarm_time),
        received_at=now,
        last_at=now,
    )


def _wish(
    record: DeviceRecord, message: VideoUploadNotify, now: datetime, channel_id: str | None
) -> DeviceAlarm:
    return DeviceAlarm(
        id=new_id(),
        device_id=record.id,
        source_id=message.device_id,
        channel_id=channel_id,
        priority=None,
        method=None,
        type=None,
        event_type=None,
        code=AlarmCode.UPLOAD_ASKED,
        description="",
        longitude=message.longitude,
        latitude=message.latitude,
        device_time=in_utc(message.time),
        received_at=now,
        last_at=now,
    )


def _write(conn: Connection, batch: Sequence[_Taken]) -> None:
    store.add_alarms(conn, [taken.alarm for taken in batch if taken.new])
    store.save_repeats(conn, [taken.alarm for taken in batch if not taken.new])


__all__ = ["REPEATED_WITHIN", "AlarmBook"]
