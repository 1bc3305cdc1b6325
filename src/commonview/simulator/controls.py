"""What a simulated camera does when it is controlled: real state behind every command and query. Pure.

`take` is given a decoded message and the time; it returns the messages that answer, and the effects that
need more than state: a restart, a key frame, pictures to upload, an upgrade. A camera of the 2016 edition
does not know the newer messages: it accepts them and says nothing, as fielded ones do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, Final, TypeAlias

from commonview.simulator.controls_channels import ChannelStates
from commonview.simulator.controls_config import fresh_config
from commonview.simulator.controls_head import Look
from commonview.simulator.controls_state import Card, ChannelState, dragged, set_home, steer
from commonview.simulator.inventory import ChannelList, Inventory
from commonview.simulator.settings import CameraSettings
from commonview.wire.manscdp import (
    AlarmCmd,
    AlarmInputStatus,
    AnyCommand,
    ConfigDownload,
    ConfigDownloadQuery,
    CruiseTrack,
    CruiseTrackList,
    CruiseTrackListQuery,
    CruiseTrackName,
    CruiseTrackQuery,
    DeviceConfig,
    DeviceConfigResult,
    DeviceControl,
    DeviceControlResult,
    DeviceInfo,
    DeviceStatus,
    DeviceUpgrade,
    DragZoom,
    FormatSDCard,
    GuardCmd,
    GuardWord,
    HomePosition,
    HomePositionAnswer,
    HomePositionQuery,
    IFrameCmd,
    Message,
    Preset,
    PresetList,
    PresetQuery,
    PtzCmd,
    PtzPosition,
    PtzPositionQuery,
    PtzPreciseCtrl,
    RecordCmd,
    RecordWord,
    SDCardStatus,
    SDCardStatusQuery,
    SnapShotConfig,
    TeleBoot,
    Unsupported,
)
from commonview.wire.ptz import PtzError, read_ptz

OK: Final = "OK"
ERROR: Final = "ERROR"
_DEVICE_ALARM: Final = 2


class ControlFault(Enum):
    """How a camera treats control against the standard; every one is seen in the field."""

    ANSWERS_ERROR = "answers_error"
    SILENT = "silent"
    NEVER_MOVES = "never_moves"
    HOME_POSITION_MISNAMED = "home_position_misnamed"
    BLOCKS_RENAMED = "blocks_renamed"
    LISTS_WITHOUT_SUM_NUM = "lists_without_sum_num"
    ALARMS_NEED_GUARD = "alarms_need_guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class MisnamedHomePosition(HomePositionAnswer):
    """The home position under the CmdType that Dahua's 2016 firmware uses (trap 23)."""

    cmd_type: ClassVar[str] = "HomePosition"


@dataclass(frozen=True, slots=True)
class Restart:
    """The camera goes away and comes back."""


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """The channel's streams need a key frame now."""

    channel_id: str


@dataclass(frozen=True, slots=True)
class TakePictures:
    """Pictures to take of the channel and to upload."""

    channel_id: str
    order: SnapShotConfig


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Firmware to install, then DeviceUpgradeResult."""

    command: DeviceUpgrade


Effect: TypeAlias = Restart | KeyFrame | TakePictures | Upgrade


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a message led to. `ours` False: the message is none of control's."""

    answers: tuple[Message, ...] = ()
    effects: tuple[Effect, ...] = ()
    ours: bool = True


NOT_OURS: Final = Reaction(ours=False)


class Controls:
    """The state of one camera. Times are seconds of one monotonic clock."""

    def __init__(self, camera: CameraSettings, inventory: Inventory | None = None) -> None:
        self.camera = camera
        self.inventory = inventory or ChannelList(camera)
        self.channels = ChannelStates(camera.device_id, self.inventory, self._fresh)
        self.version = camera.version
        self.faults: frozenset[ControlFault] = frozenset()
        self.cards = [Card()]
        self.firmware = camera.firmware
        self.upgrading = False
        self.counters = {"ptz_refused": 0, "unsupported": 0}

    def _fresh(self, name: str) -> ChannelState:
        camera = self.camera
        first = self.inventory.first()
        size = (704, 576)
        if first is not None:
            size = (first.source.format.width, first.source.format.height)
        return ChannelState(
            fresh_config(
                camera.version,
                name=name or camera.name,
                expires_s=camera.expires_s,
                keepalive_s=camera.keepalive_s,
                misses=camera.keepalive_misses,
                size=size,
            )
        )

    def look(self, channel_id: str, now: float) -> Look:
        """Where a channel looks."""
        return self.channels[channel_id].head.look(now)

    def take(self, message: Message, now: float) -> Reaction:
        """React to one message; `ours` is False for what is not about control."""
        handler = _HANDLERS.get(type(message))
        if handler is None:
            return NOT_OURS
        state = self.channels.get(message.device_id)
        if state is None or not message.allowed_for(self.version) or ControlFault.SILENT in self.faults:
            return Reaction()  # a device that does not know a message has accepted it and stays silent
        if ControlFault.ANSWERS_ERROR in self.faults:
            return self._refused(message)
        return handler(self, message, state, now)

    def _refused(self, message: Message) -> Reaction:
        kind = _ANSWERS[type(message)]
        if isinstance(message, DeviceControl) and not message.command.answered:
            return Reaction()
        return Reaction((kind(sn=message.sn, device_id=message.device_id, result=ERROR),))

    def touch(self, answer: Message) -> Message:
        """The answer of another part of the camera, with what control knows better."""
        if isinstance(answer, DeviceInfo):
            return replace(answer, firmware=self.firmware)
        state = self.channels.get(answer.device_id)
        if state is None or not isinstance(answer, DeviceStatus):
            return answer
        duty = "ALARM" if state.alarm else "ONDUTY" if state.guarded else "OFFDUTY"
        inputs = (AlarmInputStatus(answer.device_id, duty),)
        return replace(answer, record="ON" if state.recording else "OFF", alarm_inputs=inputs)

    def raise_alarm(self, channel_id: str, method: int) -> bool:
        """Whether the channel may send an alarm of that method now.

        After a device alarm (method 2) a further one only follows a reset. Some Hikvision devices send none
        before they are guarded (trap 27).
        """
        state = self.channels[channel_id]
        if ControlFault.ALARMS_NEED_GUARD in self.faults and not state.guarded:
            return False
        if method != _DEVICE_ALARM:
            return True
        raised, state.alarm = not state.alarm, True
        return raised

    # DeviceControl

    def control(self, message: DeviceControl, state: ChannelState, now: float) -> Reaction:
        """Carry a command out; those of the standard's list are answered."""
        done, effects = self._command(message.command, message.device_id, state, now)
        if not message.command.answered:
            return Reaction((), effects)
        result = OK if done else ERROR
        answer = DeviceControlResult(sn=message.sn, device_id=message.device_id, result=result)
        return Reaction((answer,), effects)

    def _command(
        self, command: AnyCommand, device_id: str, state: ChannelState, now: float
    ) -> tuple[bool, tuple[Effect, ...]]:
        match command:
            case TeleBoot():
                return True, (Restart(),)
            case IFrameCmd():
                return True, (KeyFrame(device_id),)
            case DeviceUpgrade():
                free, self.upgrading = not self.upgrading, True  # one at a time
                return free, (Upgrade(command),) if free else ()
            case Unsupported():
                self.counters["unsupported"] += 1
                return False, ()
            case RecordCmd(word=word):
                state.recording = word is RecordWord.RECORD
            case GuardCmd(word=guard):
                state.guarded = guard is GuardWord.SET_GUARD
            case AlarmCmd():
                state.alarm = False
            case FormatSDCard(number=number):
                return self._format(number, now), ()
            case HomePosition():
                return set_home(command, state), ()
            case PtzCmd() | PtzPreciseCtrl() | DragZoom():
                if ControlFault.NEVER_MOVES not in self.faults:
                    self._steer(command, state, now)
        return True, ()

    def _format(self, number: int, now: float) -> bool:
        if number > len(self.cards):
            return False
        for card in self.cards if number == 0 else [self.cards[number - 1]]:
            card.formatting_since = now
        return True

    def _steer(self, command: PtzCmd | PtzPreciseCtrl | DragZoom, state: ChannelState, now: float) -> None:
        look = state.head.look(now)
        match command:
            case PtzCmd(code=code):
                try:
                    steer(read_ptz(code), command, state, now)
                except PtzError:
                    self.counters["ptz_refused"] += 1
            case PtzPreciseCtrl(pan=pan, tilt=tilt, zoom=zoom):
                goal = Look(
                    look.pan if pan is None else pan,
                    look.tilt if tilt is None else tilt,
                    look.zoom if zoom is None else zoom,
                )
                state.head.go(goal, now)
            case DragZoom():
                state.head.go(dragged(command, look), now)

    # Configuration

    def configure(self, message: DeviceConfig, state: ChannelState, now: float) -> Reaction:
        """Write the blocks, or start a snapshot."""
        written = not message.extra and state.config.write(message.blocks)
        order = message.block(SnapShotConfig)
        effects: tuple[Effect, ...] = ()
        if order is not None:
            written = written and bool(order.upload_url and order.session_id)
            effects = (TakePictures(message.device_id, order),) if written else ()
        result = OK if written else ERROR
        answer = DeviceConfigResult(sn=message.sn, device_id=message.device_id, result=result)
        return Reaction((answer,), effects)

    def download(self, message: ConfigDownloadQuery, state: ChannelState, now: float) -> Reaction:
        """One answer for each block asked for, all with the query's SN."""
        blocks = state.config.read(message.config_types)
        head = {"sn": message.sn, "device_id": message.device_id}
        if not blocks:
            return Reaction((ConfigDownload(**head, result=ERROR),))  # type: ignore[arg-type]
        if ControlFault.BLOCKS_RENAMED in self.faults:
            renamed = [each.element(f"{each.config_type.value}Cfg", self.version) for each in blocks]
            answer = ConfigDownload(**head, result=OK, extra=tuple(renamed))  # type: ignore[arg-type]
            return Reaction((answer,))
        return Reaction(tuple(ConfigDownload(**head, result=OK, blocks=(each,)) for each in blocks))  # type: ignore[arg-type]

    # Queries

    def _count(self, items: object) -> int | None:
        if ControlFault.LISTS_WITHOUT_SUM_NUM in self.faults:
            return None
        return len(items)  # type: ignore[arg-type]  # a tuple

    def presets(self, message: PresetQuery, state: ChannelState, now: float) -> Reaction:
        """The presets by number."""
        listed = tuple(
            Preset(preset_id=str(number), preset_name=state.preset_names.get(number, f"预置位{number}"))
            for number in sorted(state.head.presets)
        )
        answer = PresetList(
            sn=message.sn, device_id=message.device_id, sum_num=self._count(listed), presets=listed
        )
        return Reaction((answer,))

    def home(self, message: HomePositionQuery, state: ChannelState, now: float) -> Reaction:
        """The home position, in the wrong words when that fault is on."""
        misnamed = ControlFault.HOME_POSITION_MISNAMED in self.faults
        kind = MisnamedHomePosition if misnamed else HomePositionAnswer
        answer = kind(sn=message.sn, device_id=message.device_id, result=OK, home=state.home)
        return Reaction((answer,))

    def track_list(self, message: CruiseTrackListQuery, state: ChannelState, now: float) -> Reaction:
        """The cruise tracks."""
        listed = tuple(
            CruiseTrackName(number=number, name=state.track_names.get(number, f"巡航{number}"))
            for number in sorted(state.tracks)
        )
        answer = CruiseTrackList(
            sn=message.sn, device_id=message.device_id, sum_num=self._count(listed), tracks=listed
        )
        return Reaction((answer,))

    def track(self, message: CruiseTrackQuery, state: ChannelState, now: float) -> Reaction:
        """One cruise track; ERROR when there is none of that number."""
        if message.number not in state.tracks:
            return Reaction((CruiseTrack(sn=message.sn, device_id=message.device_id, result=ERROR),))
        points = state.points(message.number)
        answer = CruiseTrack(
            sn=message.sn,
            device_id=message.device_id,
            number=message.number,
            name=state.track_names.get(message.number, f"巡航{message.number}"),
            sum_num=self._count(points),
            points=points,
        )
        return Reaction((answer,))

    def position(self, message: PtzPositionQuery, state: ChannelState, now: float) -> Reaction:
        """Where the channel looks now."""
        look = state.head.look(now)
        answer = PtzPosition(
            sn=message.sn,
            device_id=message.device_id,
            result=OK,
            pan=round(look.pan, 2),
            tilt=round(look.tilt, 2),
            zoom=round(look.zoom, 2),
            horizontal_field_angle=round(look.horizontal_angle, 2),
            vertical_field_angle=round(look.horizontal_angle * 9 / 16, 2),
            max_view_distance_m=200.0,
        )
        return Reaction((answer,))

    def memory(self, message: SDCardStatusQuery, state: ChannelState, now: float) -> Reaction:
        """The memory cards, with the progress of a running format."""
        listed = tuple(card.told(number, now) for number, card in enumerate(self.cards, 1))
        answer = SDCardStatus(
            sn=message.sn, device_id=message.device_id, result=OK, sum_num=self._count(listed), items=listed
        )
        return Reaction((answer,))


Handler: TypeAlias = Callable[..., Reaction]
_HANDLERS: Final[dict[type[Message], Handler]] = {
    DeviceControl: Controls.control,
    DeviceConfig: Controls.configure,
    ConfigDownloadQuery: Controls.download,
    PresetQuery: Controls.presets,
    HomePositionQuery: Controls.home,
    CruiseTrackListQuery: Controls.track_list,
    CruiseTrackQuery: Controls.track,
    PtzPositionQuery: Controls.position,
    SDCardStatusQuery: Controls.memory,
}
_ANSWERS: Final = {
    DeviceControl: DeviceControlResult,
    DeviceConfig: DeviceConfigResult,
    ConfigDownloadQuery: ConfigDownload,
    PresetQuery: PresetList,
    HomePositionQuery: HomePositionAnswer,
    CruiseTrackListQuery: CruiseTrackList,
    CruiseTrackQuery: CruiseTrack,
    PtzPositionQuery: PtzPosition,
    SDCardStatusQuery: SDCardStatus,
}
