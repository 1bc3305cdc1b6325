"""Cameras that are steered by another protocol than GB/T 28181 (ONVIF): the same orders, in its words.

Positions are in ONVIF's generic spaces, -1 to 1 (zoom 0 to 1), and so in the evidence.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from commonview.network.control import orders
from commonview.network.control.errors import OrderNotForSource
from commonview.network.control.model import CommandFailure, CommandState
from commonview.network.errors import NetworkError
from commonview.wire.manscdp import Preset as WirePreset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.network.control.book import CommandBook
    from commonview.network.control.model import Command, Evidence
    from commonview.network.control.steering import Vector

Look: TypeAlias = "tuple[float, float, float]"

MOST_PRESETS: Final = 255
_FULL: Final = 100
_STILL: Final = 0.002
_LOOK_AFTER_S: Final = 1.0

PRESET_ORDERS: Final = (orders.PresetSet, orders.PresetCall, orders.PresetDelete)


class ForeignPreset(Protocol):
    """A preset as the other protocol names it."""

    @property
    def token(self) -> str:
        """Its key."""

    @property
    def name(self) -> str:
        """Its name, perhaps empty."""


class ForeignPtz(Protocol):
    """What steers one camera; every verb raises a `NetworkError` when it did not work out."""

    async def move(self, pan: float, tilt: float, zoom: float, *, timeout_s: float = ...) -> None:
        """Move on at these speeds, -1 to 1; the camera stops by itself after ``timeout_s``."""

    async def stop(self) -> None:
        """Stop moving."""

    async def position(self) -> Look | None:
        """Where it looks, None when it does not say."""

    async def presets(self) -> Sequence[ForeignPreset]:
        """Its presets."""

    async def go_to_preset(self, token: str) -> None:
        """Go to one."""

    async def set_preset(self, name: str, token: str = "") -> str:
        """Keep where it looks now; returns the token."""

    async def remove_preset(self, token: str) -> None:
        """Remove one."""


def require_known(order: orders.Order) -> None:
    """Whether a foreign camera can be given this order. Raises `OrderNotForSource`."""
    if not isinstance(order, PRESET_ORDERS):
        kind = str(getattr(order, "kind", ""))
        raise OrderNotForSource(f"a camera of this source cannot be given {kind}", kind=kind)


def numbered(presets: Sequence[ForeignPreset]) -> dict[int, ForeignPreset]:
    """Presets by the numbers of the console: the one in token or name where it is free, else the next free.

    The same list gives the same numbers.
    """
    found: dict[int, ForeignPreset] = {}
    later: list[ForeignPreset] = []
    for preset in presets:
        number = next(filter(None, map(_number, (preset.token, preset.name))), None)
        if number is None or number in found:
            later.append(preset)
        else:
            found[number] = preset
    free = (number for number in range(1, MOST_PRESETS + 1) if number not in found)
    return dict(sorted((found | dict(zip(free, later, strict=False))).items()))


def _number(text: str) -> int | None:
    digits = text.strip()
    number = int(digits) if len(digits) <= 3 and digits.isascii() and digits.isdigit() else 0
    return number if 1 <= number <= MOST_PRESETS else None


async def listed(ptz: ForeignPtz) -> dict[str, WirePreset]:
    """The presets as a GB/T 28181 camera would list them."""
    return {
        str(number): WirePreset(preset_id=str(number), preset_name=preset.name)
        for number, preset in numbered(await ptz.presets()).items()
    }


async def drive(ptz: ForeignPtz, vector: Vector, renew_within_s: float) -> None:
    """Send a movement or a stop. The camera's own timeout stops it even when we are gone."""
    if vector.moves:
        speeds = (vector.pan / _FULL, vector.tilt / _FULL, vector.zoom / _FULL)
        await ptz.move(*speeds, timeout_s=renew_within_s + 1.0)
    else:
        await ptz.stop()


def shown(look: Look) -> Evidence:
    """A position as evidence."""
    return dict(zip(("pan", "tilt", "zoom"), (round(value, 3) for value in look), strict=True))


def turned(first: Look, second: Look) -> bool:
    """Whether it looks elsewhere."""
    return any(abs(one - other) > _STILL for one, other in zip(first, second, strict=True))


async def where(ptz: ForeignPtz) -> Look | None:
    """Where it looks; None also when it cannot be asked."""
    try:
        return await ptz.position()
    except NetworkError:
        return None


class ForeignOrders:
    """Carries preset orders out and looks for their effect."""

    def __init__(self, book: CommandBook) -> None:
        self._book = book

    async def carry_out(self, command: Command, ptz: ForeignPtz, order: orders.Order) -> None:
        """Do it; the command's state tells what came of it."""
        try:
            seen, evidence = await self._do(command, ptz, order)
        except NetworkError as error:
            refused = bool(error.params.get("status")) or error.params.get("outcome") == "fault"
            failure = CommandFailure.REFUSED_BY_DEVICE if refused else CommandFailure.DEVICE_SILENT
            outcome = {name: value for name, value in error.params.items() if name in ("outcome", "status")}
            self._book.note(command.id, CommandState.FAILED, outcome, failure)
            return
        if seen is None:
            self._book.note(command.id, CommandState.NOT_OBSERVABLE, evidence)
        elif seen:
            self._book.note(command.id, CommandState.OBSERVED, evidence)
        else:
            self._book.note(command.id, CommandState.FAILED, evidence, CommandFailure.NOT_OBSERVED)

    async def _do(
        self, command: Command, ptz: ForeignPtz, order: orders.Order
    ) -> tuple[bool | None, Evidence]:
        known = numbered(await ptz.presets())
        match order:
            case orders.PresetSet():
                token = known[order.number].token if order.number in known else ""
                made = await ptz.set_preset(order.name or str(order.number), token)
                self._accepted(command)
                present = any(one.token == made for one in await ptz.presets())
                return present, {"preset": order.number, "present": int(present)}
            case orders.PresetCall():
                before = await where(ptz)
                await ptz.go_to_preset(self._token(known, order.number))
                self._accepted(command)
                await asyncio.sleep(_LOOK_AFTER_S)
                after = await where(ptz)
                if before is None or after is None or not turned(before, after):
                    return None, {"preset": order.number}  # perhaps it looked there already
                return True, shown(after)
            case orders.PresetDelete():
                token = self._token(known, order.number)
                await ptz.remove_preset(token)
                self._accepted(command)
                gone = all(one.token != token for one in await ptz.presets())
                return gone, {"preset": order.number, "present": int(not gone)}
        raise TypeError(f"no words for {type(order).__name__}")

    def _accepted(self, command: Command) -> None:
        self._book.note(command.id, CommandState.ACCEPTED, {})

    @staticmethod
    def _token(known: dict[int, ForeignPreset], number: int) -> str:
        if number not in known:
            raise OrderNotForSource(f"there is no preset {number}", outcome="not_found", status=404)
        return known[number].token
