"""Continuous movement: what `steering` decides, sent in order and never behind a slow device's answers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from commonview.network.control.foreign import drive, shown, turned, where
from commonview.network.control.model import CommandFailure, CommandState
from commonview.network.control.observe import moved, told
from commonview.network.control.ptz_code import lens_code, move_code
from commonview.network.control.steering import RENEW_WITHIN_S, Steering, Vector
from commonview.network.errors import NetworkError
from commonview.network.exchange import PeerOffline
from commonview.wire.manscdp import DeviceControl, PtzCmd

if TYPE_CHECKING:
    from collections.abc import Callable

    from commonview.foundation.clock import Clock
    from commonview.network.control.book import CommandBook
    from commonview.network.control.foreign import ForeignPtz, Look
    from commonview.network.control.model import Command
    from commonview.network.control.observe import Observer
    from commonview.network.control.steering import Frame
    from commonview.network.control.target import Target
    from commonview.network.exchange import Exchange
    from commonview.wire.manscdp import PtzPosition

log = logging.getLogger(__name__)

_ANSWER_WITHIN_S: Final = 1.0
"""A movement waits so long for the answer to the one before; a stop waits for nothing."""


@dataclass(frozen=True, slots=True)
class SteeringLease:
    """Who steers a channel, and for how long without renewal."""

    channel_id: str
    command_id: str
    holder_name: str
    ends_in_s: float


class _Lease:
    def __init__(self, target: Target, steering: Steering, command: Command) -> None:
        self.target = target
        self.steering = steering
        self.command = command
        self.wake = asyncio.Event()
        self.foreign: ForeignPtz | None = None
        self.start: asyncio.Task[PtzPosition | None] | None = None
        self.foreign_start: asyncio.Task[Look | None] | None = None
        self.sending: set[asyncio.Task[None]] = set()
        self.moves: asyncio.Task[None] | None = None
        self.frames = 0


class SteeringDriver:
    """One lease a channel, each with a task of its own."""

    def __init__(self, exchange: Exchange, book: CommandBook, observer: Observer, clock: Clock) -> None:
        self._exchange = exchange
        self._book = book
        self._observer = observer
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.foreign: Callable[[str], ForeignPtz | None] = lambda _channel_id: None
        """What steers a channel that is not steered by GB/T 28181."""
        self.counters: Counter[str] = Counter()

    def holds(self, target: Target, holder: str) -> bool:
        """Whether this one steers the channel already. Raises `PtzBusy` when somebody else does."""
        lease = self._leases.get(target.channel_id or target.gb_id)
        if lease is None:
            return False
        lease.steering.require(holder, self._clock.monotonic())
        return lease.steering.holder == holder

    async def steer(
        self, target: Target, vector: Vector, *, holder: str, holder_name: str, account_id: str
    ) -> SteeringLease:
        """Move like this until renewed, stopped or `RENEW_WITHIN_S` have passed; takes the lease if free.

        Raises `PtzBusy`, `PeerOffline`, `StorageUnavailable`.
        """
        key = target.channel_id or target.gb_id
        require_reachable(target, self.foreign)
        lock = self._opening.setdefault(key, asyncio.Lock())
        async with lock:
            while not self.holds(target, holder):
                await self._open(key, target, vector, holder, holder_name, account_id)
        lease = self._leases[key]
        lease.steering.steer(vector, self._clock.monotonic())
        lease.wake.set()
        return self._shown(key, lease)

    async def _open(
        self, key: str, target: Target, vector: Vector, holder: str, holder_name: str, account_id: str
    ) -> None:
        former = self._leases.pop(key, None)
        if former is not None:  # its time is over, its last stop may still be on the way
            former.steering.release(self._clock.monotonic())
            former.wake.set()
        parameters = {name: value for name, value in asdict(vector).items() if value}
        command = await self._book.open(target.record.id, target.channel_id, "steer", parameters, account_id)
        lease = _Lease(target, Steering(holder, holder_name, self._clock.monotonic()), command)
        lease.foreign = self.foreign(key)
        if lease.foreign is not None:
            lease.foreign_start = asyncio.create_task(where(lease.foreign))
        else:
            lease.start = asyncio.create_task(self._observer.position(target.record, target.gb_id))
        self._leases[key] = lease
        self.counters["leases"] += 1
        task = asyncio.create_task(self._drive(key, lease))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _shown(self, key: str, lease: _Lease) -> SteeringLease:
        left = max(0.0, lease.steering.lease_until - self._clock.monotonic())
        return SteeringLease(key, lease.command.id, lease.steering.holder_name, round(left, 1))

    def lease(self, channel_id: str) -> SteeringLease | None:
        """Who steers a channel now."""
        lease = self._leases.get(channel_id)
        if lease is None or lease.steering.lease_until <= self._clock.monotonic():
            return None
        return self._shown(channel_id, lease)

    def overtaken(self, target: Target) -> None:
        """A preset, a cruise or the like moves this camera now: stops of before are not repeated into it."""
        lease = self._leases.get(target.channel_id or target.gb_id)
        if lease is not None:
            lease.steering.overtaken()

    async def release(self, target: Target, *, holder: str) -> None:
        """Stop and give the lease back; harmless for one who does not hold it."""
        lease = self._leases.get(target.channel_id or target.gb_id)
        if lease is not None and lease.steering.holder == holder:
            lease.steering.release(self._clock.monotonic())
            lease.wake.set()

    async def close(self) -> None:
        """Stop every camera that turns, and wait a moment for the answers."""
        for lease in list(self._leases.values()):
            lease.steering.release(self._clock.monotonic())
            for frame in lease.steering.due(self._clock.monotonic()):
                self._dispatch(lease, frame)
        under_way = [task for lease in self._leases.values() for task in lease.sending]
        if under_way:
            await asyncio.wait(under_way, timeout=_ANSWER_WITHIN_S)
        for task in (*self._tasks, *under_way):
            task.cancel()
        await asyncio.gather(*self._tasks, *under_way, return_exceptions=True)

    # -- one lease

    async def _drive(self, key: str, lease: _Lease) -> None:
        try:
            while not lease.steering.over(self._clock.monotonic()):
                wait_s = lease.steering.wake_at() - self._clock.monotonic()
                lease.wake.clear()
                try:
                    async with asyncio.timeout(max(0.0, wait_s)):
                        await lease.wake.wait()
                except TimeoutError:
                    pass
                for frame in lease.steering.due(self._clock.monotonic()):
                    if not frame.stops and lease.moves is not None and not lease.moves.done():
                        await asyncio.wait([lease.moves], timeout=_ANSWER_WITHIN_S)
                    self._dispatch(lease, frame)
            if self._leases.get(key) is lease:
                del self._leases[key]
                if (lock := self._opening.get(key)) is not None and not lock.locked():
                    del self._opening[key]
            await self._conclude(lease)
        finally:
            for looking in (lease.start, lease.foreign_start):
                if looking is not None:
                    looking.cancel()

    def _dispatch(self, lease: _Lease, frame: Frame) -> None:
        task = asyncio.create_task(self._send(lease, frame))
        lease.sending.add(task)
        task.add_done_callback(lease.sending.discard)
        lease.frames += 1
        if frame.stops:
            self.counters["stops_sent"] += 1
        else:
            self.counters["moves_sent"] += 1
            lease.moves = task

    async def _send(self, lease: _Lease, frame: Frame) -> None:
        if lease.foreign is not None:
            await self._send_foreign(lease, lease.foreign, frame)
            return
        code = lens_code(frame.vector) if frame.lens else move_code(frame.vector)
        message = DeviceControl(
            sn=self._exchange.next_sn(), device_id=lease.target.gb_id, command=PtzCmd(code=code)
        )
        try:
            accepted = await self._exchange.send(lease.target.record, message)
        except NetworkError as error:
            self.counters[f"frame_{error.code}"] += 1
            return
        command = self._book.under_way(lease.command.id)
        if command is not None and command.state is CommandState.SENT:
            self._book.note(lease.command.id, CommandState.ACCEPTED, {"sip_status": accepted.status})

    async def _send_foreign(self, lease: _Lease, ptz: ForeignPtz, frame: Frame) -> None:
        if frame.lens:
            self.counters["lens_not_for_source"] += 1
            return
        try:
            await drive(ptz, frame.vector, RENEW_WITHIN_S)
        except NetworkError as error:
            self.counters[f"frame_{error.code}"] += 1
            return
        command = self._book.under_way(lease.command.id)
        if command is not None and command.state is CommandState.SENT:
            self._book.note(lease.command.id, CommandState.ACCEPTED, {})

    async def _conclude(self, lease: _Lease) -> None:
        if lease.sending:
            await asyncio.wait(lease.sending)
        command = self._book.under_way(lease.command.id)
        if command is None:
            return
        if command.state is CommandState.SENT:
            self._book.note(
                command.id, CommandState.FAILED, {"frames": lease.frames}, CommandFailure.DEVICE_SILENT
            )
            return
        if lease.foreign is not None:
            await self._conclude_foreign(lease, lease.foreign, command.id)
            return
        target = lease.target
        first = await lease.start if lease.start is not None else None
        last = await self._observer.position(target.record, target.gb_id) if first is not None else None
        if first is not None and last is not None and moved(first, last):
            self._book.note(command.id, CommandState.OBSERVED, told(last))
        else:  # back where it was, or a camera that cannot say where it looks
            self._book.note(command.id, CommandState.NOT_OBSERVABLE, {"frames": lease.frames})

    async def _conclude_foreign(self, lease: _Lease, ptz: ForeignPtz, command_id: str) -> None:
        first = await lease.foreign_start if lease.foreign_start is not None else None
        last = await where(ptz) if first is not None else None
        if first is not None and last is not None and turned(first, last):
            self._book.note(command_id, CommandState.OBSERVED, shown(last))
        else:
            self._book.note(command_id, CommandState.NOT_OBSERVABLE, {"frames": lease.frames})


def require_reachable(target: Target, foreign: Callable[[str], ForeignPtz | None]) -> ForeignPtz | None:
    """What steers the target when GB/T 28181 does not. Raises `PeerOffline`."""
    record = target.record
    if record.online and target.channel_id is not None and record.flow is None:
        ptz = foreign(target.channel_id)
        if ptz is not None:
            return ptz
    if record.flow is None or not record.online:
        raise PeerOffline(f"device {record.id} is offline", device_id=record.id, reason=record.reason.value)
    return None
