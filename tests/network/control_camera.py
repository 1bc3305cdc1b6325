"""A camera without a socket that does what it is told, or exactly what a test wants of it."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

from commonview.foundation.bus import Bus
from commonview.foundation.clock import Clock, SystemClock
from commonview.foundation.database import Database, migrate
from commonview.network.control import Command, Control, ObservationLimits, Order, SnapshotLimits
from commonview.network.directory import DeviceRecord, Directory, Registration
from commonview.network.exchange import Exchange, ExchangeLimits
from commonview.network.live_machine import Moment
from commonview.network.model import Channel, ChannelKind, ChannelStatus
from commonview.network.requests import Platform
from commonview.network.sip_endpoint import SipEndpoint, SipTimeout
from commonview.wire import manscdp as wire
from commonview.wire import ptz
from commonview.wire.manscdp import Message, decode
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from tests.network.exchange import DEVICE, DOMAIN, PLATFORM, udp
from tests.waiting import answered

CAMERA = "34020000001320000001"
CHANNEL_ID = f"{DEVICE}-{CAMERA}"
ACCOUNT = "somebody"
LIMITS = ObservationLimits(
    first_look_s=0.01, look_every_s=0.02, within_s=0.3, reboot_s=1.5, format_s=1.5, upgrade_s=20.0
)


@dataclass
class CameraDouble:
    """What it was sent, how it is, and what it refuses, ignores or does not answer.

    ``deaf``: commands that are taken and answered, and not done; ``mute``: CmdTypes without business answer;
    ``refuses``: CmdTypes answered with Result ERROR; ``status``: SIP status of everything.
    """

    deaf: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    status: int = 200
    silent: bool = False
    sent: list[Message] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    presets: dict[int, str] = field(default_factory=dict)
    cruise: list[wire.CruisePoint] = field(default_factory=list)
    position: wire.PtzPosition = field(
        default_factory=lambda: wire.PtzPosition(
            sn=0, device_id=CAMERA, result="OK", pan=10.0, tilt=0.0, zoom=1.0
        )
    )
    home: wire.HomePosition = field(default_factory=lambda: wire.HomePosition(enabled=False))
    recording: bool = False
    guarded: bool = False
    cards: list[wire.SDCard] = field(default_factory=list)
    blocks: dict[wire.ConfigType, wire.AnyBlock] = field(default_factory=dict)
    on_command: Callable[[Message], None] | None = None
    say: Callable[[Message], None] = lambda _: None

    async def request(self, request: SipRequest, flow: Flow, *, timeout_s: float) -> SipResponse:
        message = decode(request.body)
        assert isinstance(message, Message)
        self.sent.append(message)
        self.bodies.append(request.body)
        await asyncio.sleep(0)
        if self.silent:
            raise SipTimeout("no final answer")
        if self.status == 200:
            self._act(message)
            if self.on_command is not None:
                self.on_command(message)
        return SipResponse(self.status, "as told", Headers(()), b"")

    def of(self, kind: type[Message]) -> list[Message]:
        return [one for one in self.sent if isinstance(one, kind)]

    def codes(self) -> list[str]:
        """The PTZ codes it was sent."""
        commands = [one.command for one in self.sent if isinstance(one, wire.DeviceControl)]
        return [one.code for one in commands if isinstance(one, wire.PtzCmd)]

    def _answer(self, message: Message) -> None:
        if message.cmd_type not in self.mute:
            asyncio.get_running_loop().call_soon(self.say, message)

    def _act(self, message: Message) -> None:
        head: dict[str, Any] = {"sn": message.sn, "device_id": message.device_id}
        result = "ERROR" if message.cmd_type in self.refuses else "OK"
        match message:
            case wire.DeviceControl(command=command):
                if result == "OK" and command.name not in self.deaf:
                    self._do(command)
                if command.answered:
                    self._answer(wire.DeviceControlResult(**head, result=result))
            case wire.DeviceConfig(blocks=blocks):
                if result == "OK" and "DeviceConfig" not in self.deaf:
                    self.blocks.update({one.config_type: one for one in blocks})
                self._answer(wire.DeviceConfigResult(**head, result=result))
            case wire.PresetQuery():
                listed = tuple(wire.Preset(preset_id=str(n), preset_name=t) for n, t in self.presets.items())
                self._answer(wire.PresetList(**head, result=result, sum_num=len(listed), presets=listed))
            case wire.PtzPositionQuery():
                told = wire.PtzPosition(**head, result="ERROR")
                self._answer(replace(self.position, **head) if result == "OK" else told)
            case wire.ConfigDownloadQuery(config_types=types):
                for kind in types:  # one answer each, as some devices do
                    found = (self.blocks[kind],) if kind in self.blocks else ()
                    self._answer(wire.ConfigDownload(**head, result=result, blocks=found))
            case _:
                self._tell(message, head, result)

    def _tell(self, message: Message, head: dict[str, Any], result: str) -> None:
        sn, device_id = message.sn, message.device_id
        match message:
            case wire.DeviceStatusQuery():
                duty = "ONDUTY" if self.guarded else "OFFDUTY"
                self._answer(
                    wire.DeviceStatus(
                        sn=sn,
                        device_id=device_id,
                        record="ON" if self.recording else "OFF",
                        alarm_inputs=(wire.AlarmInputStatus(CAMERA, duty),),
                    )
                )
            case wire.HomePositionQuery():
                self._answer(
                    wire.HomePositionAnswer(sn=sn, device_id=device_id, result=result, home=self.home)
                )
            case wire.CruiseTrackQuery(number=number):
                points = tuple(self.cruise)
                self._answer(
                    wire.CruiseTrack(sn=sn, device_id=device_id, number=number, name="tour", points=points)
                )
            case wire.SDCardStatusQuery():
                self._answer(
                    wire.SDCardStatus(
                        sn=sn, device_id=device_id, sum_num=len(self.cards), items=tuple(self.cards)
                    )
                )

    def _do(self, command: wire.AnyCommand) -> None:
        match command:
            case wire.PtzCmd(code=code):
                self._steer(ptz.read_ptz(code))
            case wire.PtzPreciseCtrl(pan=pan, tilt=tilt, zoom=zoom):
                self.position = replace(self.position, pan=pan, tilt=tilt, zoom=zoom)
            case wire.RecordCmd(word=word):
                self.recording = word is wire.RecordWord.RECORD
            case wire.GuardCmd(word=guard):
                self.guarded = guard is wire.GuardWord.SET_GUARD
            case wire.HomePosition():
                self.home = command
            case _:
                pass

    def _steer(self, command: ptz.PtzCommand) -> None:
        match command:
            case ptz.PresetCommand(ptz.PresetAction.SET, number):
                self.presets[number] = f"preset {number}"
            case ptz.PresetCommand(ptz.PresetAction.DELETE, number):
                self.presets.pop(number, None)
            case ptz.PresetCommand(ptz.PresetAction.CALL, number):
                self.position = replace(self.position, pan=number * 10.0)
            case ptz.CruiseAdd(_, preset):
                self.cruise.append(wire.CruisePoint(preset_index=preset, stay_time_s=5, speed=7))
            case ptz.Move():
                self.position = replace(self.position, pan=(self.position.pan or 0) + 5)
            case _:
                pass


class OneCamera:
    """The channels of the device: this camera."""

    def channel(self, record: DeviceRecord, gb_id: str) -> Channel | None:
        return _channel() if gb_id == CAMERA else None

    def watchable(self, record: DeviceRecord) -> Sequence[Channel]:
        return [_channel()]


class ControlRoom:
    """One camera of one device, and the control of it over a real database."""

    def __init__(
        self, folder: Path, database: Database, bus: Bus, clock: Clock, version: str = "3.0"
    ) -> None:
        self.camera = CameraDouble()
        self.clock = clock
        self.bus = bus
        self.database = database
        self.directory = Directory(silence_s=180)
        self.directory.find_channels_in(OneCamera())
        self.exchange = Exchange(
            cast(SipEndpoint, self.camera),
            Platform(PLATFORM, DOMAIN),
            SystemClock(),  # answers are waited for in real time, whatever the house's clock says
            ExchangeLimits(linger_s=0.2, settle_s=0.01),
        )
        self.control = Control(
            self.directory,
            self.exchange,
            database,
            bus,
            clock,
            pictures=folder / "snapshots",
            limits=LIMITS,
            answer_s=0.4,
            quiet_s=0.05,
        )
        self.control.snapshots.limits = SnapshotLimits(picture_s=1.0, straggler_s=0.05, answer_s=0.4)
        self.register(version=version)
        self.camera.say = self._said

    def _said(self, message: Message) -> None:
        if not self.exchange.take(self.record, message):
            if isinstance(message, wire.DeviceUpgradeResult):
                self.control.on_upgrade_result(self.record, message)
            if isinstance(message, wire.UploadSnapShotFinished):
                self.control.on_snapshot_finished(self.record, message)

    @property
    def record(self) -> DeviceRecord:
        record = self.directory.get(DEVICE)
        assert record is not None
        return record

    def register(self, *, version: str | None = None, flow: Flow | None = None) -> None:
        """The device registers, for the first time or anew."""
        at = self.clock.now()
        self.directory.apply(
            Registration(DEVICE, flow or udp(), 3600, at, at + timedelta(hours=1), "", version),
            Moment(self.clock.monotonic(), at),
        )

    async def give(self, order: Order) -> Command:
        """Give an order to the camera and wait until nothing more becomes of it."""
        command = await self.control.order(self.control.channel(CHANNEL_ID), order, ACCOUNT)
        return await self.end_of(command)

    async def end_of(self, command: Command) -> Command:
        return await answered(lambda: self.control.command(command.id), lambda known: known.over)


def states(command: Command) -> list[str]:
    return [step.state.value for step in command.steps]


def _channel() -> Channel:
    return Channel(
        id=CHANNEL_ID,
        device_id=DEVICE,
        gb_id=CAMERA,
        kind=ChannelKind.VIDEO,
        name="gate",
        status=ChannelStatus.ON,
        parent_id=DEVICE,
        manufacturer="",
        model="",
        civil_code="",
        place="",
        longitude=None,
        latitude=None,
        vanished_at=None,
    )


@asynccontextmanager
async def control_room(folder: Path, *, version: str = "3.0") -> AsyncIterator[ControlRoom]:
    """Start control on a database in ``folder``; twice on the same folder is a restart."""
    file = folder / "test.sqlite"
    if not file.exists():
        shutil.copyfile(_migrated(), file)
    database = Database.at(file)
    room = ControlRoom(folder, database, Bus(), SystemClock(), version)
    await room.control.start()
    try:
        yield room
    finally:
        await room.control.close()
        database.close()


@cache
def _migrated() -> Path:
    """An empty database of the newest schema, made once: migrating for every test would take minutes."""
    file = Path(_folder().name) / "empty.sqlite"
    database = Database.at(file)
    migrate(database)
    database.close()
    return file


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="commonview-tests-")
    atexit.register(folder.cleanup)
    return folder


def codes_of(orders: Iterable[ptz.PtzCommand]) -> list[str]:
    return [ptz.write_ptz(one) for one in orders]
