"""The eight bytes that steer a dome (GB/T 28181-2022 A.3), as typed commands.

    A5 | version, check nibble | address low | command | data 1 | data 2 | data 3, address high | checksum

The second byte's low nibble is (A + 5 + version) mod 16, the last byte the sum of the first seven mod 256.
In MANSCDP they travel as 16 hex digits (PTZCmd). The address selects nothing in GB/T 28181: DeviceID does.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

LENGTH: Final = 8
_START: Final = 0xA5
_VERSION: Final = 0x0F
"""Version 0 in the high nibble, its check nibble (0xA + 0x5 + 0) mod 16 in the low."""


class PtzFault(Enum):
    """Why a code was refused; stable words for counters."""

    NOT_HEX = "not_hex"
    WRONG_LENGTH = "wrong_length"
    WRONG_START = "wrong_start"
    WRONG_CHECKSUM = "wrong_checksum"


class PtzError(ValueError):
    """A code that is none."""

    def __init__(self, fault: PtzFault, reason: str) -> None:
        super().__init__(f"{fault.value}: {reason}")
        self.fault = fault


class Pan(Enum):
    """Turning left or right: the bits of the command byte."""

    NONE = 0
    RIGHT = 0x01
    LEFT = 0x02


class Tilt(Enum):
    """Turning up or down."""

    NONE = 0
    DOWN = 0x04
    UP = 0x08


class Zoom(Enum):
    """Nearer or wider."""

    NONE = 0
    IN = 0x10
    OUT = 0x20


class Focus(Enum):
    """Sharp far away or near."""

    NONE = 0
    FAR = 0x01
    NEAR = 0x02


class Aperture(Enum):
    """More or less light (the standard's iris; this word also names biometrics, hence ours)."""

    NONE = 0
    OPEN = 0x04
    CLOSE = 0x08


class PresetAction(Enum):
    """What to do with a preset: the command byte."""

    SET = 0x81
    CALL = 0x82
    DELETE = 0x83


class ScanAction(Enum):
    """What to do with an automatic scan: data 2 of command 0x89."""

    START = 0
    LEFT_EDGE = 1
    RIGHT_EDGE = 2


_CRUISE_ADD: Final = 0x84
_CRUISE_REMOVE: Final = 0x85
_CRUISE_SPEED: Final = 0x86
_CRUISE_STAY: Final = 0x87
_CRUISE_START: Final = 0x88
_SCAN: Final = 0x89
_SCAN_SPEED: Final = 0x8A
_AUXILIARY_ON: Final = 0x8C
_AUXILIARY_OFF: Final = 0x8D
_LENS: Final = 0x40
_MAX_WORD: Final = 0xFFF

WIPER: Final = 1
"""The one auxiliary switch the standard names; in use 2 is infrared, 3 heater, 4 defogging, 5 cooling."""


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} {value} is not within {low} to {high}")


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop every movement, cruise and scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Turn and zoom at once. `pan_speed`, `tilt_speed` 0 to 255, `zoom_speed` 0 to 15."""

    pan: Pan = Pan.NONE
    tilt: Tilt = Tilt.NONE
    zoom: Zoom = Zoom.NONE
    pan_speed: int = 0
    tilt_speed: int = 0
    zoom_speed: int = 0

    def __post_init__(self) -> None:
        _check("pan_speed", self.pan_speed, 0, 0xFF)
        _check("tilt_speed", self.tilt_speed, 0, 0xFF)
        _check("zoom_speed", self.zoom_speed, 0, 0xF)
        if self.pan is Pan.NONE and self.tilt is Tilt.NONE and self.zoom is Zoom.NONE:
            raise ValueError("a movement has a direction; use Stop to stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """Focus and aperture; with neither, stop both. Speeds 0 to 255."""

    focus: Focus = Focus.NONE
    aperture: Aperture = Aperture.NONE
    focus_speed: int = 0
    aperture_speed: int = 0

    def __post_init__(self) -> None:
        _check("focus_speed", self.focus_speed, 0, 0xFF)
        _check("aperture_speed", self.aperture_speed, 0, 0xFF)


@dataclass(frozen=True, slots=True)
class PresetCommand:
    """Set, call or delete preset `number`, 1 to 255."""

    action: PresetAction
    number: int

    def __post_init__(self) -> None:
        _check("preset", self.number, 1, 0xFF)


@dataclass(frozen=True, slots=True)
class CruiseAdd:
    """Append preset `preset` to cruise track `track`."""

    track: int
    preset: int

    def __post_init__(self) -> None:
        _check("track", self.track, 0, 0xFF)
        _check("preset", self.preset, 1, 0xFF)


@dataclass(frozen=True, slots=True)
class CruiseRemove:
    """Take preset `preset` out of `track`; 0 removes the whole track."""

    track: int
    preset: int = 0

    def __post_init__(self) -> None:
        _check("track", self.track, 0, 0xFF)
        _check("preset", self.preset, 0, 0xFF)


@dataclass(frozen=True, slots=True)
class CruiseSpeed:
    """How fast `track` goes from point to point, 0 to 4095."""

    track: int
    speed: int

    def __post_init__(self) -> None:
        _check("track", self.track, 0, 0xFF)
        _check("speed", self.speed, 0, _MAX_WORD)


@dataclass(frozen=True, slots=True)
class CruiseStay:
    """How many seconds `track` stays at a point, 0 to 4095."""

    track: int
    seconds: int

    def __post_init__(self) -> None:
        _check("track", self.track, 0, 0xFF)
        _check("seconds", self.seconds, 0, _MAX_WORD)


@dataclass(frozen=True, slots=True)
class CruiseStart:
    """Start cruising along `track`; `Stop` ends it."""

    track: int

    def __post_init__(self) -> None:
        _check("track", self.track, 0, 0xFF)


@dataclass(frozen=True, slots=True)
class Scan:
    """Start scan `group`, or store where it turns round; `Stop` ends it."""

    group: int
    action: ScanAction

    def __post_init__(self) -> None:
        _check("group", self.group, 0, 0xFF)


@dataclass(frozen=True, slots=True)
class ScanSpeed:
    """How fast scan `group` goes, 0 to 4095."""

    group: int
    speed: int

    def __post_init__(self) -> None:
        _check("group", self.group, 0, 0xFF)
        _check("speed", self.speed, 0, _MAX_WORD)


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """Switch something on or off; `WIPER` is the one with a meaning in the standard."""

    switch: int
    on: bool

    def __post_init__(self) -> None:
        _check("switch", self.switch, 0, 0xFF)


@dataclass(frozen=True, slots=True)
class UnknownPtz:
    """A command of no meaning here, or with both directions of an axis: command byte and three data."""

    command: int
    data1: int
    data2: int
    data3: int

    def __post_init__(self) -> None:
        for name, value, high in (
            ("command", self.command, 0xFF),
            ("data1", self.data1, 0xFF),
            ("data2", self.data2, 0xFF),
            ("data3", self.data3, 0xF),
        ):
            _check(name, value, 0, high)


PtzCommand: TypeAlias = (
    Stop
    | Move
    | Lens
    | PresetCommand
    | CruiseAdd
    | CruiseRemove
    | CruiseSpeed
    | CruiseStay
    | CruiseStart
    | Scan
    | ScanSpeed
    | Auxiliary
    | UnknownPtz
)


def zoom_speed(speed: int) -> int:
    """The 4-bit zoom speed for a speed of 0 to 255; what is not 0 never becomes 0 (trap 50)."""
    _check("speed", speed, 0, 0xFF)
    return 0 if speed == 0 else max(1, round(speed * 0xF / 0xFF))


def encode_ptz(command: PtzCommand, address: int = 1) -> bytes:
    """The eight bytes. Raises `ValueError` for an address beyond 12 bits."""
    _check("address", address, 0, _MAX_WORD)
    code, data1, data2, data3 = _parts(command)
    first = bytes((_START, _VERSION, address & 0xFF, code, data1, data2, data3 << 4 | address >> 8))
    return first + bytes((sum(first) & 0xFF,))


def write_ptz(command: PtzCommand, address: int = 1) -> str:
    """The content of PTZCmd: the eight bytes as 16 upper-case hex digits."""
    return encode_ptz(command, address).hex().upper()


def _parts(command: PtzCommand) -> tuple[int, int, int, int]:
    match command:
        case Stop():
            return 0, 0, 0, 0
        case Move(pan=pan, tilt=tilt, zoom=zoom):
            bits = pan.value | tilt.value | zoom.value
            return bits, command.pan_speed, command.tilt_speed, command.zoom_speed
        case Lens(focus=focus, aperture=aperture):
            return _LENS | focus.value | aperture.value, command.focus_speed, command.aperture_speed, 0
        case PresetCommand(action, number):
            return action.value, 0, number, 0
        case Scan(group, scan):
            return _SCAN, group, scan.value, 0
        case Auxiliary(switch, on):
            return (_AUXILIARY_ON if on else _AUXILIARY_OFF), switch, 0, 0
        case UnknownPtz(code, data1, data2, data3):
            return code, data1, data2, data3
        case _:
            return _tour_parts(command)


def _tour_parts(
    command: CruiseAdd | CruiseRemove | CruiseSpeed | CruiseStay | CruiseStart | ScanSpeed,
) -> tuple[int, int, int, int]:
    match command:
        case CruiseAdd(track, preset):
            return _CRUISE_ADD, track, preset, 0
        case CruiseRemove(track, preset):
            return _CRUISE_REMOVE, track, preset, 0
        case CruiseSpeed(track, word):
            return _CRUISE_SPEED, track, word & 0xFF, word >> 8
        case CruiseStay(track, word):
            return _CRUISE_STAY, track, word & 0xFF, word >> 8
        case CruiseStart(track):
            return _CRUISE_START, track, 0, 0
        case ScanSpeed(group, word):
            return _SCAN_SPEED, group, word & 0xFF, word >> 8


def read_ptz(text: str) -> PtzCommand:
    """What the 16 hex digits of PTZCmd mean; see `decode_ptz`. Raises `PtzError`."""
    digits = text.strip()
    if len(digits) != 2 * LENGTH:
        raise PtzError(PtzFault.WRONG_LENGTH, f"{len(digits)} characters, 16 hex digits are expected")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise PtzError(PtzFault.NOT_HEX, repr(digits)) from None
    return decode_ptz(data)


def decode_ptz(data: bytes) -> PtzCommand:
    """What eight bytes mean. Raises `PtzError` for another length, start or checksum.

    The version nibbles and the address are not looked at. Speeds of axes that do not move are dropped.
    """
    if len(data) != LENGTH:
        raise PtzError(PtzFault.WRONG_LENGTH, f"{len(data)} bytes")
    if data[0] != _START:
        raise PtzError(PtzFault.WRONG_START, f"{data[0]:02X}")
    if sum(data[:7]) & 0xFF != data[7]:
        raise PtzError(PtzFault.WRONG_CHECKSUM, f"{data[7]:02X}, {sum(data[:7]) & 0xFF:02X} is expected")
    code, data1, data2, data3 = data[3], data[4], data[5], data[6] >> 4
    unknown = UnknownPtz(code, data1, data2, data3)
    if code < _LENS:
        return _moved(unknown)
    if code & 0xF0 == _LENS:
        return _focused(unknown)
    return _listed(unknown)


def _moved(raw: UnknownPtz) -> PtzCommand:
    bits = raw.command
    if bits == 0:
        return Stop()
    if any(bits & pair == pair for pair in (0x03, 0x0C, 0x30)):
        return raw
    pan, tilt, zoom = Pan(bits & 0x03), Tilt(bits & 0x0C), Zoom(bits & 0x30)
    return Move(
        pan=pan,
        tilt=tilt,
        zoom=zoom,
        pan_speed=raw.data1 if pan is not Pan.NONE else 0,
        tilt_speed=raw.data2 if tilt is not Tilt.NONE else 0,
        zoom_speed=raw.data3 if zoom is not Zoom.NONE else 0,
    )


def _focused(raw: UnknownPtz) -> PtzCommand:
    bits = raw.command
    if any(bits & pair == pair for pair in (0x03, 0x0C)):
        return raw
    focus, aperture = Focus(bits & 0x03), Aperture(bits & 0x0C)
    return Lens(
        focus=focus,
        aperture=aperture,
        focus_speed=raw.data1 if focus is not Focus.NONE else 0,
        aperture_speed=raw.data2 if aperture is not Aperture.NONE else 0,
    )


def _listed(raw: UnknownPtz) -> PtzCommand:
    group, number, word = raw.data1, raw.data2, raw.data3 << 8 | raw.data2
    match raw.command:
        case 0x81 | 0x82 | 0x83 if number:
            return PresetCommand(PresetAction(raw.command), number)
        case 0x84 if number:
            return CruiseAdd(group, number)
        case 0x85:
            return CruiseRemove(group, number)
        case 0x86:
            return CruiseSpeed(group, word)
        case 0x87:
            return CruiseStay(group, word)
        case 0x88:
            return CruiseStart(group)
        case 0x89 if number in (0, 1, 2):
            return Scan(group, ScanAction(number))
        case 0x8A:
            return ScanSpeed(group, word)
        case 0x8C | 0x8D:
            return Auxiliary(group, raw.command == _AUXILIARY_ON)
        case _:
            return raw
