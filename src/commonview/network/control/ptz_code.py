"""Orders as PTZ commands (GB/T 28181-2022 A.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from commonview.network.control import orders
from commonview.wire import ptz

if TYPE_CHECKING:
    from commonview.network.control.steering import Vector
    from commonview.wire.ptz import PtzCommand

T = TypeVar("T")


def move_code(vector: Vector) -> str:
    """Pan, tilt and zoom of a vector; all zero stops everything."""
    if not vector.moves:
        return ptz.write_ptz(ptz.Stop())
    move = ptz.Move(
        pan=_choose(vector.pan, ptz.Pan.RIGHT, ptz.Pan.LEFT, ptz.Pan.NONE),
        tilt=_choose(vector.tilt, ptz.Tilt.UP, ptz.Tilt.DOWN, ptz.Tilt.NONE),
        zoom=_choose(vector.zoom, ptz.Zoom.IN, ptz.Zoom.OUT, ptz.Zoom.NONE),
        pan_speed=_speed(vector.pan),
        tilt_speed=_speed(vector.tilt),
        zoom_speed=ptz.zoom_speed(_speed(vector.zoom)),
    )
    return ptz.write_ptz(move)


def lens_code(vector: Vector) -> str:
    """Focus and aperture of a vector; both zero stop the lens."""
    lens = ptz.Lens(
        focus=_choose(vector.focus, ptz.Focus.NEAR, ptz.Focus.FAR, ptz.Focus.NONE),
        aperture=_choose(vector.aperture, ptz.Aperture.OPEN, ptz.Aperture.CLOSE, ptz.Aperture.NONE),
        focus_speed=_speed(vector.focus),
        aperture_speed=_speed(vector.aperture),
    )
    return ptz.write_ptz(lens)


def _choose(value: int, positive: T, negative: T, none: T) -> T:
    return positive if value > 0 else negative if value < 0 else none


def _speed(percent: int) -> int:
    """Percent of 255; the slowest is 1, because 0 would not move at all."""
    return 0 if percent == 0 else max(1, round(min(100, abs(percent)) * 2.55))


def code_of(order: orders.Order) -> str | None:
    """The code of an order that travels as PTZCmd, ``None`` for every other."""
    command = _point_command(order) or _tour_command(order)
    return None if command is None else ptz.write_ptz(command)


def _point_command(order: orders.Order) -> PtzCommand | None:
    match order:
        case orders.PresetSet():
            return ptz.PresetCommand(ptz.PresetAction.SET, order.number)
        case orders.PresetCall():
            return ptz.PresetCommand(ptz.PresetAction.CALL, order.number)
        case orders.PresetDelete():
            return ptz.PresetCommand(ptz.PresetAction.DELETE, order.number)
        case orders.Auxiliary():
            return ptz.Auxiliary(order.switch, order.on)
        case orders.CruiseStop() | orders.ScanStop():
            return ptz.Stop()
    return None


def _tour_command(order: orders.Order) -> PtzCommand | None:
    match order:
        case orders.CruiseAddPoint():
            return ptz.CruiseAdd(order.cruise, order.preset)
        case orders.CruiseRemovePoint():
            return ptz.CruiseRemove(order.cruise, order.preset)
        case orders.CruiseSpeed():
            return ptz.CruiseSpeed(order.cruise, order.speed)
        case orders.CruiseStay():
            return ptz.CruiseStay(order.cruise, order.stay_s)
        case orders.CruiseStart():
            return ptz.CruiseStart(order.cruise)
        case orders.ScanStart():
            return ptz.Scan(order.scan, ptz.ScanAction.START)
        case orders.ScanEdge():
            left = order.edge == "left"
            return ptz.Scan(order.scan, ptz.ScanAction.LEFT_EDGE if left else ptz.ScanAction.RIGHT_EDGE)
        case orders.ScanSpeed():
            return ptz.ScanSpeed(order.scan, order.speed)
    return None
