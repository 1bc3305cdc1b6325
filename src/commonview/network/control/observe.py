"""Looking whether a command had its effect: a follow-up question where the standard offers one.

"Not observable" is an answer of its own. A question that the device refuses or ignores makes an effect not
observable; only an answer that shows the old state makes it not observed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from commonview.network.control import orders
from commonview.network.control.blocks import block_of, differences
from commonview.network.control.errors import NotAnswered, RefusedByDevice
from commonview.network.errors import NetworkError
from commonview.wire.manscdp import SDCardState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from commonview.network.control.model import Evidence
    from commonview.network.control.questions import Questions
    from commonview.network.directory import DeviceRecord
    from commonview.wire.manscdp import ConfigBlock, PtzPosition, SDCard

_ANGLE: Final = 0.2
"""Degrees within which a dome counts as standing still; encoders flicker."""

_NEAR: Final = 2.0
"""Degrees within which a precise move counts as arrived: domes stop a little beside."""

_BLIND: Final = 10_000

_REFRESH_SHARE: Final = 0.45
"""A registration that comes before this share of its time is no refresh: the device began anew."""


@dataclass(frozen=True, slots=True)
class ObservationLimits:
    """How often to look and how long, in seconds."""

    first_look_s: float = 0.5
    look_every_s: float = 1.0
    within_s: float = 8.0
    reboot_s: float = 180.0
    format_s: float = 600.0
    upgrade_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen: the effect (True), its absence (False), or nothing that could tell (None)."""

    seen: bool | None
    evidence: Evidence


NOTHING_TO_SEE: Final = Finding(None, {})


@dataclass(frozen=True, slots=True)
class Before:
    """How things stood when the command was given."""

    at: datetime
    position: asyncio.Task[PtzPosition | None] | None
    registered_at: datetime | None
    expires_at: datetime | None
    flow: object


class Observer:
    """Looks at one device at a time."""

    def __init__(self, questions: Questions, limits: ObservationLimits | None = None) -> None:
        self._questions = questions
        self.limits = limits or ObservationLimits()
        self._blind: set[tuple[str, str]] = set()

    def before(self, order: orders.Order, record: DeviceRecord, target: str, at: datetime) -> Before:
        """Look before the command, where only a change can tell; the command need not wait for it."""
        position = None
        if isinstance(order, _MOVING):
            position = asyncio.create_task(self.position(record, target))
        return Before(at, position, record.registered_at, record.expires_at, record.flow)

    async def position(self, record: DeviceRecord, target: str) -> PtzPosition | None:
        """Where the camera looks, ``None`` when it cannot say; one that could not is not asked again."""
        if (record.id, target) in self._blind:
            return None
        try:
            return await self._questions.position(record, target)
        except (NotAnswered, RefusedByDevice):
            if len(self._blind) < _BLIND:
                self._blind.add((record.id, target))
        except NetworkError:
            return None
        return None

    async def after(self, order: orders.Order, record: DeviceRecord, target: str, before: Before) -> Finding:
        """Look for the effect until it is seen or the time is up."""
        match order:
            case orders.Reboot():
                return await self._until(lambda: _restarted(record, before), self.limits.reboot_s)
            case orders.FormatCard():
                return await self._until(self._formatting(order, record, target), self.limits.format_s)
            case orders.PreciseMove():
                return await self._until(lambda: self._arrived(order, record, target), self.limits.within_s)
            case orders.IFrame() | orders.Auxiliary() | orders.ScanEdge() | orders.ScanSpeed():
                return NOTHING_TO_SEE
            case orders.CruiseStop() | orders.ScanStop():
                return await self._until(lambda: self._still(record, target), self.limits.within_s)
            case _ if isinstance(order, _MOVING):
                return await self._moved(record, target, before)
        look = self._look_of(order, record, target)
        return NOTHING_TO_SEE if look is None else await self._until(look, self.limits.within_s)

    def _look_of(
        self, order: orders.Order, record: DeviceRecord, target: str
    ) -> Callable[[], Awaitable[Finding]] | None:
        match order:
            case orders.PresetSet() | orders.PresetDelete():
                return lambda: self._preset(order, record, target)
            case orders.CruiseAddPoint() | orders.CruiseRemovePoint():
                return lambda: self._cruise_points(order, record, target)
            case orders.CruiseSpeed() | orders.CruiseStay():
                return lambda: self._cruise_values(order, record, target)
            case orders.HomePosition():
                return lambda: self._home(order, record, target)
            case orders.Guard() | orders.AlarmReset():
                return lambda: self._duty(order, record, target)
            case orders.Record():
                return lambda: self._recording(order, record, target)
        block = block_of(order)
        return None if block is None else lambda: self._read_back(block, record, target)

    async def _until(self, look: Callable[[], Awaitable[Finding]], within_s: float) -> Finding:
        """Look again and again until the effect is seen; what cannot be asked cannot be seen."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        await asyncio.sleep(self.limits.first_look_s)
        while True:
            try:
                finding = await look()
            except NetworkError as error:
                finding = Finding(None, {"question": error.code})
            if finding.seen or loop.time() >= deadline:
                return finding
            if finding.seen is None and finding.evidence.get("question") != "not_answered":
                return finding
            await asyncio.sleep(self.limits.look_every_s)

    # -- movements

    async def _moved(self, record: DeviceRecord, target: str, before: Before) -> Finding:
        start = None if before.position is None else await before.position
        if start is None:
            return NOTHING_TO_SEE

        async def look() -> Finding:
            now = await self._questions.position(record, target)
            return Finding(moved(start, now), told(now))

        finding = await self._until(look, self.limits.within_s)
        # A camera that stood there already does not move: that is no failure, and no proof either.
        return finding if finding.seen else Finding(None, finding.evidence)

    async def _still(self, record: DeviceRecord, target: str) -> Finding:
        first = await self._questions.position(record, target)
        await asyncio.sleep(self.limits.look_every_s)
        second = await self._questions.position(record, target)
        return Finding(not moved(first, second), told(second))

    async def _arrived(self, order: orders.PreciseMove, record: DeviceRecord, target: str) -> Finding:
        now = await self._questions.position(record, target)
        off = _turn(now.pan, order.pan), _apart(now.tilt, order.tilt)
        return Finding(all(one is not None and one <= _NEAR for one in off), told(now))

    # -- presets and cruises

    async def _preset(
        self, order: orders.PresetSet | orders.PresetDelete, record: DeviceRecord, target: str
    ) -> Finding:
        listed = await self._questions.presets(record, target)
        present = any(one.number == order.number for one in listed.values())
        wanted = isinstance(order, orders.PresetSet)
        return Finding(present is wanted, {"listed": len(listed), "preset": order.number, "present": present})

    async def _cruise_points(
        self, order: orders.CruiseAddPoint | orders.CruiseRemovePoint, record: DeviceRecord, target: str
    ) -> Finding:
        if isinstance(order, orders.CruiseRemovePoint) and order.preset == 0:
            # A cruise that is gone cannot be asked for, only missed in the list.
            listed = await self._questions.cruises(record, target)
            gone = all(one.number != order.cruise for one in listed.values())
            return Finding(gone, {"cruises": len(listed)})
        points = (await self._questions.cruise(record, target, order.cruise)).points
        evidence = {"points": len(points)}
        present = any(one.preset_index == order.preset for one in points)
        return Finding(present is isinstance(order, orders.CruiseAddPoint), evidence)

    async def _cruise_values(
        self, order: orders.CruiseSpeed | orders.CruiseStay, record: DeviceRecord, target: str
    ) -> Finding:
        points = (await self._questions.cruise(record, target, order.cruise)).points
        if isinstance(order, orders.CruiseSpeed):
            # Told as 1 to 15 (A.2.6.14) and set in 12 bits (A.3.5): the two scales cannot be compared.
            return Finding(None, {"speed": " ".join(str(one.speed) for one in points)[:40]})
        stays = [one.stay_time_s for one in points]
        same = bool(stays) and all(one == order.stay_s for one in stays)
        return Finding(same, {"stay_s": " ".join(map(str, stays))[:40]})

    async def _home(self, order: orders.HomePosition, record: DeviceRecord, target: str) -> Finding:
        home = await self._questions.home_position(record, target)
        if home is None:
            return Finding(None, {"home": "untold"})
        same = home.enabled is order.enabled and (
            not order.enabled or (home.preset_index, home.reset_time_s) == (order.preset, order.reset_s)
        )
        evidence = {
            "enabled": home.enabled,
            "preset": -1 if home.preset_index is None else home.preset_index,
            "reset_s": -1 if home.reset_time_s is None else home.reset_time_s,
        }
        return Finding(same, evidence)

    # -- states of the device

    async def _duty(
        self, order: orders.Guard | orders.AlarmReset, record: DeviceRecord, target: str
    ) -> Finding:
        inputs = (await self._questions.status(record, target)).alarm_inputs
        words = [one.duty_status.upper() for one in inputs]
        evidence = {"inputs": " ".join(words)[:80]}
        if not words:
            return Finding(None, {"inputs": "none"})
        if isinstance(order, orders.AlarmReset):
            return Finding("ALARM" not in words, evidence)
        return Finding(any(word != "OFFDUTY" for word in words) is order.on, evidence)

    async def _recording(self, order: orders.Record, record: DeviceRecord, target: str) -> Finding:
        word = (await self._questions.status(record, target)).record.upper()
        if word not in {"ON", "OFF"}:
            return Finding(None, {"record": word[:16] or "untold"})
        return Finding((word == "ON") is order.on, {"record": word})

    def _formatting(
        self, order: orders.FormatCard, record: DeviceRecord, target: str
    ) -> Callable[[], Awaitable[Finding]]:
        """A card that is well proves nothing unless it was seen formatting before, or is empty now."""
        formatting = False

        async def look() -> Finding:
            nonlocal formatting
            cards = (await self._questions.cards(record, target)).values()
            mine = [one for one in cards if order.card in (0, one.number)]
            formatting = formatting or any(one.status is SDCardState.FORMATTING for one in mine)
            done = all(one.status in {SDCardState.OK, SDCardState.IDLE} for one in mine)
            words = " ".join("untold" if one.status is None else one.status.value for one in mine)
            return Finding(
                bool(mine) and done and (formatting or all(_is_empty(one) for one in mine)),
                {"cards": words[:80] or "none"},
            )

        return look

    async def _read_back(self, block: ConfigBlock, record: DeviceRecord, target: str) -> Finding:
        blocks = await self._questions.configuration(record, target, (block.config_type,))
        read = blocks.get(block.config_type)
        if read is None:
            return Finding(None, {"block": "untold"})
        different = differences(block, read)
        return Finding(not different, different or {"read_back": block.config_type.value})


def _is_empty(card: SDCard) -> bool:
    capacity, free = card.capacity_mb, card.free_space_mb
    return capacity is not None and free is not None and free >= capacity * 0.95


async def _restarted(record: DeviceRecord, before: Before) -> Finding:
    """Registered anew, and not merely refreshed: earlier than a refresh is due, or from another path."""
    at = record.registered_at
    if at is None or at <= before.at or not record.online:
        return Finding(False, {"online": record.online})
    evidence = {"registered_after_s": round((at - before.at).total_seconds(), 1)}
    if before.registered_at is None or before.expires_at is None or record.flow != before.flow:
        return Finding(True, evidence)
    lasts = (before.expires_at - before.registered_at).total_seconds()
    early = (at - before.registered_at).total_seconds() < lasts * _REFRESH_SHARE
    return Finding(early, evidence if early else {"refreshed": True})


def moved(first: PtzPosition, second: PtzPosition) -> bool:
    """Whether a dome looks elsewhere, or closer, than before."""
    turned = (_turn(first.pan, second.pan), _apart(first.tilt, second.tilt), _apart(first.zoom, second.zoom))
    return any(one is not None and one > _ANGLE for one in turned)


def told(position: PtzPosition) -> Evidence:
    """A position as evidence."""
    values = {"pan": position.pan, "tilt": position.tilt, "zoom": position.zoom}
    return {name: round(value, 2) for name, value in values.items() if value is not None}


def _apart(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else abs(first - second)


def _turn(first: float | None, second: float | None) -> float | None:
    """Degrees between two directions, the short way round."""
    apart = _apart(first, second)
    return None if apart is None else min(apart % 360, 360 - apart % 360)


_MOVING = (
    orders.PresetCall,
    orders.CruiseStart,
    orders.ScanStart,
    orders.DragZoom,
)
