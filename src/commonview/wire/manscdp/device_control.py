"""Control and Response DeviceControl: one command to a device (GB/T 28181-2022 9.3, A.2.3.1, A.2.6.1).

A DeviceControl carries exactly one command. What it carries beyond those known here is an `Unsupported`
command with the name of its element: it is answered as such and never acted upon.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final, Self, TypeAlias

from commonview.wire.manscdp.body import Body
from commonview.wire.manscdp.codecs import choice, decimal, flag, nested, text, whole
from commonview.wire.manscdp.errors import ManscdpError, ManscdpFault, Repair
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import Record, newer_fields, read_fields, write_fields
from commonview.wire.manscdp.xml import Element, clean, element
from commonview.wire.version import GbVersion

MAX_INFO_CHARS: Final = 1024
SESSION_ID_CHARS: Final = (32, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Record):
    """One command. `since`: the first edition with it; `answered`: whether a Response is due (9.3.3)."""

    since: ClassVar[GbVersion] = GbVersion.V2011
    answered: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name of the element that carries the command."""
        return _NAMES.get(type(self), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PtzCmdParams(Record):
    """Names that go with preset and cruise commands, at most 32 bytes each (2022)."""

    preset_name: str = field(default="", metadata=text("PresetName", limit_bytes=32))
    cruise_track_name: str = field(default="", metadata=text("CruiseTrackName", limit_bytes=32))


@dataclass(frozen=True, slots=True, kw_only=True)
class PtzCmd(Command):
    """`code` is the eight bytes as 16 hex digits (A.3): see `commonview.wire.ptz`.

    `priority` is what older platforms send as Info/ControlPriority, larger wins.
    """

    code: str = field(metadata=text("PTZCmd", limit=16))
    params: PtzCmdParams | None = field(
        default=None, metadata=nested("PTZCmdParams", PtzCmdParams, since=GbVersion.V2022)
    )
    priority: int | None = None


class Boot(Enum):
    """The one word of TeleBoot."""

    BOOT = "Boot"


class RecordWord(Enum):
    """Begin or end recording on the device."""

    RECORD = "Record"
    STOP_RECORD = "StopRecord"


class GuardWord(Enum):
    """Set or lift the guard (arm or disarm the alarm inputs)."""

    SET_GUARD = "SetGuard"
    RESET_GUARD = "ResetGuard"


class AlarmWord(Enum):
    """The one word of AlarmCmd."""

    RESET_ALARM = "ResetAlarm"


class IFrameWord(Enum):
    """The one word of IFrameCmd."""

    SEND = "Send"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeleBoot(Command):
    """Restart the device."""

    word: Boot = field(default=Boot.BOOT, metadata=choice("TeleBoot", Boot))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCmd(Command):
    """Begin or end recording on the device; `stream_number` 0 is the main stream."""

    answered: ClassVar[bool] = True
    word: RecordWord = field(metadata=choice("RecordCmd", RecordWord))
    stream_number: int | None = field(
        default=None, metadata=whole("StreamNumber", high=255, since=GbVersion.V2022)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardCmd(Command):
    """Set or lift the guard; some Hikvision devices report no alarm before (trap 27)."""

    answered: ClassVar[bool] = True
    word: GuardWord = field(metadata=choice("GuardCmd", GuardWord))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCmdInfo(Record):
    """Which alarms to reset; all when absent."""

    alarm_method: str = field(default="", metadata=text("AlarmMethod", limit=64))
    alarm_type: str = field(default="", metadata=text("AlarmType", limit=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCmd(Command):
    """Reset an alarm: a device may send a further method-2 alarm only after that."""

    answered: ClassVar[bool] = True
    word: AlarmWord = field(default=AlarmWord.RESET_ALARM, metadata=choice("AlarmCmd", AlarmWord))
    info: AlarmCmdInfo | None = field(default=None, metadata=nested("Info", AlarmCmdInfo))


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrameCmd(Command):
    """Send a key frame now. The 2016 edition spells it IFameCmd (trap 50): read both, send per edition.

    `spelling` is for a peer that reads only the other one.
    """

    since: ClassVar[GbVersion] = GbVersion.V2016
    word: IFrameWord = field(default=IFrameWord.SEND, metadata=choice("IFrameCmd", IFrameWord, "IFameCmd"))
    spelling: str = ""


class ZoomDirection(Enum):
    """Drag zoom: a rectangle becomes the whole picture, or the whole picture the rectangle."""

    IN = "DragZoomIn"
    OUT = "DragZoomOut"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomArea(Record):
    """A rectangle in a window of `length` x `width` pixels, origin top left; all in pixels."""

    length: int = field(metadata=whole("Length", high=65535))
    width: int = field(metadata=whole("Width", high=65535))
    mid_point_x: int = field(metadata=whole("MidPointX", high=65535))
    mid_point_y: int = field(metadata=whole("MidPointY", high=65535))
    length_x: int = field(metadata=whole("LengthX", high=65535))
    length_y: int = field(metadata=whole("LengthY", high=65535))


@dataclass(frozen=True, slots=True, kw_only=True)
class DragZoom(Command):
    """Zoom to, or from, a rectangle that was drawn in the picture."""

    since: ClassVar[GbVersion] = GbVersion.V2016
    direction: ZoomDirection
    area: ZoomArea


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePosition(Command):
    """Where a dome returns to: after `reset_time_s` idle seconds it calls preset `preset_index`."""

    since: ClassVar[GbVersion] = GbVersion.V2016
    answered: ClassVar[bool] = True
    enabled: bool = field(metadata=flag("Enabled"))
    reset_time_s: int | None = field(default=None, metadata=whole("ResetTime", high=86_400 * 366))
    preset_index: int | None = field(default=None, metadata=whole("PresetIndex", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class PtzPreciseCtrl(Command):
    """Go to a position: `pan` and `tilt` in degrees (tilt positive downwards), `zoom` as a factor."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    pan: float | None = field(default=None, metadata=decimal("Pan", low=0, high=360))
    tilt: float | None = field(default=None, metadata=decimal("Tilt", low=-90, high=90))
    zoom: float | None = field(default=None, metadata=decimal("Zoom", low=0, high=10_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUpgrade(Command):
    """Fetch and install firmware; DeviceUpgradeResult with the same session id follows."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    answered: ClassVar[bool] = True
    firmware: str = field(metadata=text("Firmware", limit=256))
    file_url: str = field(metadata=text("FileURL", limit=2048))
    manufacturer: str = field(default="", metadata=text("Manufacturer", limit=256))
    session_id: str = field(metadata=text("SessionID", limit=128))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSDCard(Command):
    """Format a memory card; `number` from 1, 0 means all."""

    since: ClassVar[GbVersion] = GbVersion.V2022
    number: int = field(metadata=whole("FormatSDCard", high=255))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported(Command):
    """A command that is not known here, or not done on principle; `element_name` as received."""

    answered: ClassVar[bool] = True
    element_name: str

    @property
    def name(self) -> str:
        """The name of the element as received."""
        return self.element_name


AnyCommand: TypeAlias = (
    PtzCmd
    | TeleBoot
    | RecordCmd
    | GuardCmd
    | AlarmCmd
    | IFrameCmd
    | DragZoom
    | HomePosition
    | PtzPreciseCtrl
    | DeviceUpgrade
    | FormatSDCard
    | Unsupported
)

_FLAT: Final[dict[str, type[Command]]] = {
    "PTZCmd": PtzCmd,
    "TeleBoot": TeleBoot,
    "RecordCmd": RecordCmd,
    "GuardCmd": GuardCmd,
    "AlarmCmd": AlarmCmd,
    "IFrameCmd": IFrameCmd,
    "IFameCmd": IFrameCmd,
    "FormatSDCard": FormatSDCard,
}
"""Commands whose fields lie directly below the root."""

_BLOCKS: Final[dict[str, type[Command]]] = {
    "HomePosition": HomePosition,
    "PTZPreciseCtrl": PtzPreciseCtrl,
    "DeviceUpgrade": DeviceUpgrade,
}
"""Commands whose fields lie inside an element of their own."""

_NAMES: Final[dict[type[Command], str]] = {
    kind: name for name, kind in (*reversed(_FLAT.items()), *_BLOCKS.items())
}
_ZOOMS: Final = {each.value: each for each in ZoomDirection}
_KNOWN: Final = {each.casefold(): each for each in (*_FLAT, *_BLOCKS, *_ZOOMS)}
_NO_COMMANDS: Final = frozenset({"info", "extrainfo", "streamnumber", "ptzcmdparams"})


@message("Control", "DeviceControl")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceControl(Message):
    """One command; `info` are extension texts (ExtraInfo in 2022, Info before; at most 1024 characters)."""

    command: AnyCommand
    info: tuple[str, ...] = ()

    @classmethod
    def read_in_steps(
        cls, sn: int, device_id: str, body: Body, repairs: tuple[Repair, ...]
    ) -> Generator[None, None, Self]:
        """Take the first command. Raises `ManscdpError` when there is none, or one that makes no sense."""
        yield from ()
        mended = list(repairs)
        command = _command(body, mended)
        info = _info(body)
        return cls(
            sn=sn,
            device_id=device_id,
            extra=body.rest(),
            repairs=tuple(mended),
            command=command,
            info=info,
        )

    def elements(self, version: GbVersion = GbVersion.V2022) -> Sequence[Element]:
        """The command, then the extension texts under the name of the edition."""
        if any(len(each) > MAX_INFO_CHARS for each in self.info):
            raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"more than {MAX_INFO_CHARS} characters of info")
        tag = "ExtraInfo" if version >= GbVersion.V2022 else "Info"
        return [*_written(self.command, version), *(element(tag, each) for each in self.info)]

    def allowed_for(self, version: GbVersion) -> bool:
        """Whether the edition has this command."""
        return self.command.since <= version

    def newer_than(self, version: GbVersion) -> tuple[str, ...]:
        """The elements beside the command that the edition does not have."""
        return newer_fields(self.command, version)


def _command(body: Body, repairs: list[Repair]) -> AnyCommand:
    for name in body.names():
        known = _KNOWN.get(name.casefold())
        if known is not None:
            return _known_command(known, body, repairs)
    for name in body.names():
        if name.casefold() not in _NO_COMMANDS:
            return Unsupported(element_name=name[:64])
    raise ManscdpError(ManscdpFault.MISSING_FIELD, "a command")


def _known_command(name: str, body: Body, repairs: list[Repair]) -> AnyCommand:
    if name in _FLAT:
        kind = _FLAT[name]
        command = kind(**read_fields(kind, body, repairs))
        if isinstance(command, PtzCmd):
            command = PtzCmd(code=command.code, params=command.params, priority=_priority(body))
        return command  # type: ignore[return-value]  # _FLAT holds members of AnyCommand only
    found = body.take(name)
    if name in _ZOOMS:
        area = None if found is None else ZoomArea.read_element(found, repairs)
        if area is not None:
            return DragZoom(direction=_ZOOMS[name], area=area)
    elif found is not None:
        inside = _BLOCKS[name].read_element(found, repairs)
        if inside is not None:
            return inside  # type: ignore[return-value]  # _BLOCKS holds members of AnyCommand only
    raise ManscdpError(ManscdpFault.BAD_VALUE, f"{name} lacks a mandatory element or its value is none")


def _priority(body: Body) -> int | None:
    """Info/ControlPriority of the earlier editions; a different Info stays."""
    found = body.take("Info")
    if found is None:
        return None
    written = found.value("ControlPriority")
    if len(written) <= 3 and written.isascii() and written.isdigit():
        return int(written)
    body.put_back(found)
    return None


def _info(body: Body) -> tuple[str, ...]:
    """Extension texts of both spellings; an Info with children is no text and stays raw."""
    texts: list[str] = []
    for tag in ("ExtraInfo", "Info"):
        for each in body.take_all(tag):
            if each.children or len(each.text) > MAX_INFO_CHARS:
                body.put_back(each)
            elif clean(each.text):
                texts.append(each.text)
    return tuple(texts)


def _written(command: AnyCommand, version: GbVersion) -> Sequence[Element]:
    match command:
        case Unsupported():
            raise ManscdpError(ManscdpFault.NOT_ENCODABLE, f"no command {command.element_name[:40]!r}")
        case PtzCmd():
            written = write_fields(command, version)
            if command.priority is not None and version < GbVersion.V2022:
                written.append(element("Info", [element("ControlPriority", command.priority)]))
            return written
        case IFrameCmd():
            tag = "IFrameCmd" if version >= GbVersion.V2022 else "IFameCmd"
            return (element(command.spelling or tag, command.word.value),)
        case DragZoom():
            return (command.area.element(command.direction.value, version),)
        case DeviceUpgrade():
            _check_session_id(command.session_id)
            return (command.element(command.name, version),)
        case HomePosition() | PtzPreciseCtrl():
            return (command.element(command.name, version),)
        case _:
            return write_fields(command, version)


def _check_session_id(session_id: str) -> None:
    low, high = SESSION_ID_CHARS
    fits = low <= len(session_id) <= high and session_id.isascii()
    if not fits or not session_id.replace("-", "").isalnum():
        reason = f"SessionID has {low} to {high} letters, digits and hyphens, got {session_id[:40]!r}"
        raise ManscdpError(ManscdpFault.NOT_ENCODABLE, reason)


@message("Response", "DeviceControl")
@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceControlResult(Answer):
    """Whether the device accepted a command; `result` OK or ERROR."""
