"""Orders as the eight bytes of a PTZ command, written as 16 hex digits (GB/T 28181-2022 A.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonview.network.control import orders

if TYPE_CHECKING:
    from commonview.network.control.steering import Vector

_STOP: Final = 0x00
_LENS: Final = 0x40
_AUXILIARY_ON: Final = 0x8C
_AUXILIARY_OFF: Final = 0x8D


def code(command: int, data1: int = 0, data2: int = 0, data3: int = 0) -> str:
    """A5, version 0 with its check 0F, address 01, three data values (8, 8 and 4 bits), checksum."""
    head = [0xA5, 0x0F, 0x01, command & 0xFF, data1 & 0xFF, data2 & 0xFF, (data3 & 0x0F) << 4]
    return bytes([*head, sum(head) & 0xFF]).hex().upper()


def move_code(vector: Vector) -> str:
    """Pan, tilt and zoom of a vector; all zero stops everything (A.3.2)."""
    bits = (
        (0x20 if vector.zoom < 0 else 0)
        | (0x10 if vector.zoom > 0 else 0)
        | (0x08 if vector.tilt > 0 else 0)
        | (0x04 if vector.tilt < 0 else 0)
        | (0x02 if vector.pan < 0 else 0)
        | (0x01 if vector.pan > 0 else 0)
    )
    return code(bits, _speed(vector.pan, 255), _speed(vector.tilt, 255), _speed(vector.zoom, 15))


def lens_code(vector: Vector) -> str:
    """Focus and aperture (iris) of a vector (A.3.3)."""
    bits = (
        _LENS
        | (0x08 if vector.aperture < 0 else 0)
        | (0x04 if vector.aperture > 0 else 0)
        | (0x02 if vector.focus > 0 else 0)
        | (0x01 if vector.focus < 0 else 0)
    )
    return code(bits, _speed(vector.focus, 255), _speed(vector.aperture, 255))


def _speed(percent: int, full: int) -> int:
    """Percent of the full scale; the slowest is 1, because 0 would not move at all (WVP SipUtils)."""
    return 0 if percent == 0 else max(1, round(min(100, abs(percent)) * full / 100))


def _wide(command: int, number: int, value: int) -> str:
    """A value of 12 bits: its low byte is data 2, the rest data 3 (A.3.5, A.3.6)."""
    return code(command, number, value & 0xFF, value >> 8)


def code_of(order: orders.Order) -> str | None:
    """The code of an order that travels as PTZCmd, ``None`` for every other."""
    match order:
        case orders.PresetSet():
            return code(0x81, 0, order.number)
        case orders.PresetCall():
            return code(0x82, 0, order.number)
        case orders.PresetDelete():
            return code(0x83, 0, order.number)
        case orders.CruiseStop() | orders.ScanStop():
            return code(_STOP)
        case orders.ScanStart():
            return code(0x89, order.scan, 0)
        case orders.ScanEdge():
            return code(0x89, order.scan, 1 if order.edge == "left" else 2)
        case orders.Auxiliary():
            return code(_AUXILIARY_ON if order.on else _AUXILIARY_OFF, order.switch)
    return _cruise_code(order)


def _cruise_code(order: orders.Order) -> str | None:
    match order:
        case orders.CruiseAddPoint():
            return code(0x84, order.cruise, order.preset)
        case orders.CruiseRemovePoint():
            return code(0x85, order.cruise, order.preset)
        case orders.CruiseSpeed():
            return _wide(0x86, order.cruise, order.speed)
        case orders.CruiseStay():
            return _wide(0x87, order.cruise, order.stay_s)
        case orders.CruiseStart():
            return code(0x88, order.cruise)
        case orders.ScanSpeed():
            return _wide(0x8A, order.scan, order.speed)
    return None
