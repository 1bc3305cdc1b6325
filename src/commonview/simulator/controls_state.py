"""What one channel of a simulated camera remembers, and how PTZ commands change it. Pure."""

from dataclasses import dataclass, field
from typing import Final

from commonview.simulator.controls_config import ChannelConfig
from commonview.simulator.controls_head import Head, Look
from commonview.wire.manscdp import (
    CruisePoint,
    DragZoom,
    HomePosition,
    PtzCmd,
    SDCard,
    SDCardState,
    ZoomDirection,
)
from commonview.wire.ptz import (
    Auxiliary,
    CruiseAdd,
    CruiseRemove,
    CruiseSpeed,
    CruiseStart,
    CruiseStay,
    Lens,
    Move,
    PresetAction,
    PresetCommand,
    PtzCommand,
    Scan,
    ScanAction,
    Stop,
)

FORMAT_S: Final = 10.0
_CAPACITY_MB: Final = 61_000


@dataclass(slots=True)
class Card:
    """A memory card; `formatted_at` is when a running format began."""

    free_mb: int = 20_000
    formatting_since: float | None = None

    def told(self, number: int, now: float) -> SDCard:
        """The card's line in SDCardStatus."""
        since = self.formatting_since
        if since is not None and now - since >= FORMAT_S:
            self.formatting_since, self.free_mb, since = None, _CAPACITY_MB, None
        formatting = since is not None
        progress = 100 if since is None else min(99, int((now - since) / FORMAT_S * 100))
        return SDCard(
            number=number,
            hdd_name=f"SD{number}",
            status=SDCardState.FORMATTING if formatting else SDCardState.OK,
            format_progress=progress,
            capacity_mb=_CAPACITY_MB,
            free_space_mb=0 if formatting else self.free_mb,
        )


@dataclass(slots=True)
class ChannelState:
    """Everything one channel remembers."""

    config: ChannelConfig
    head: Head = field(default_factory=Head)
    preset_names: dict[int, str] = field(default_factory=dict)
    tracks: dict[int, list[CruisePoint]] = field(default_factory=dict)
    track_names: dict[int, str] = field(default_factory=dict)
    stays: dict[int, int] = field(default_factory=dict)
    speeds: dict[int, int] = field(default_factory=dict)
    home: HomePosition = field(default_factory=lambda: HomePosition(enabled=False))
    recording: bool = False
    guarded: bool = False
    alarm: bool = False
    auxiliaries: set[int] = field(default_factory=set)
    lens: Lens = field(default_factory=Lens)

    def points(self, track: int) -> tuple[CruisePoint, ...]:
        """A track's points with the stay and speed that were set for the track."""
        return tuple(
            CruisePoint(
                preset_index=each.preset_index,
                stay_time_s=self.stays.get(track, 5),
                speed=max(1, min(15, self.speeds.get(track, 7))),
            )
            for each in self.tracks.get(track, ())
        )


def set_home(command: HomePosition, state: ChannelState) -> bool:
    """Take a home position; False when its preset does not exist."""
    known = command.preset_index is not None and command.preset_index in state.head.presets
    if command.enabled and not known:
        return False
    state.home = command
    state.head.home_preset = command.preset_index if command.enabled else None
    state.head.home_after_s = float(command.reset_time_s or 0)
    return True


def dragged(command: DragZoom, look: Look) -> Look:
    """The look at the middle of a drawn rectangle, zoomed so that it fills the picture, or shrinks to it."""
    area = command.area
    if not (area.length and area.width and area.length_x and area.length_y):
        return look
    angle = look.horizontal_angle
    pan = look.pan + (area.mid_point_x / area.length - 0.5) * angle
    tilt = look.tilt + (area.mid_point_y / area.width - 0.5) * angle * 9 / 16
    factor = min(area.length / area.length_x, area.width / area.length_y)
    zoom = look.zoom * factor if command.direction is ZoomDirection.IN else look.zoom / factor
    return Look(pan, tilt, zoom)


def steer(command: PtzCommand, sent: PtzCmd, state: ChannelState, now: float) -> None:
    """Do what eight bytes of PTZ say; `sent` carries the names that go with them."""
    head = state.head
    match command:
        case Stop():
            head.stop(now)
        case Move():
            head.turn(command, now)
        case Lens():
            state.lens = command
        case PresetCommand():
            _preset(command, sent, state, now)
        case Scan(_, action):
            if action is ScanAction.START:
                head.scan(now)
        case Auxiliary(switch, on):
            (state.auxiliaries.add if on else state.auxiliaries.discard)(switch)
        case CruiseAdd() | CruiseRemove() | CruiseSpeed() | CruiseStay() | CruiseStart():
            _tour(command, sent, state, now)
        case _:
            pass  # ScanSpeed and unknown commands change nothing that can be seen


def _preset(command: PresetCommand, sent: PtzCmd, state: ChannelState, now: float) -> None:
    number = command.number
    if command.action is PresetAction.CALL:
        state.head.call(number, now)
    elif command.action is PresetAction.DELETE:
        state.head.presets.pop(number, None)
        state.preset_names.pop(number, None)
    else:
        state.head.presets[number] = state.head.look(now)
        if sent.params is not None and sent.params.preset_name:
            state.preset_names[number] = sent.params.preset_name


def _tour(
    command: CruiseAdd | CruiseRemove | CruiseSpeed | CruiseStay | CruiseStart,
    sent: PtzCmd,
    state: ChannelState,
    now: float,
) -> None:
    track = command.track
    match command:
        case CruiseAdd(_, preset):
            points = state.tracks.setdefault(track, [])
            if len(points) < 255:
                points.append(CruisePoint(preset_index=preset))
            if sent.params is not None and sent.params.cruise_track_name:
                state.track_names[track] = sent.params.cruise_track_name
        case CruiseRemove(_, 0):
            state.tracks.pop(track, None)
        case CruiseRemove(_, preset):
            kept = [each for each in state.tracks.get(track, ()) if each.preset_index != preset]
            state.tracks[track] = kept
        case CruiseSpeed(_, speed):
            state.speeds[track] = speed
        case CruiseStay(_, seconds):
            state.stays[track] = seconds
        case CruiseStart():
            state.head.cruise(state.points(track), now)
