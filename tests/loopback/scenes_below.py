"""Our superior over our simulator: one scene for every few rows of the table, each seen from both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from commonview.network import CatalogueState, ChannelStatus
from commonview.network.control import CommandState, Order, SnapshotOrder, Target, orders
from commonview.network.directory import DeviceRecord
from commonview.network.events import AlarmCode, SubscriptionKind, SubscriptionStatus
from commonview.network.history import PlaybackState
from commonview.simulator import SimulatedCamera
from commonview.wire import manscdp as wire
from commonview.wire.manscdp import ConfigType
from commonview.wire.manscdp.config_blocks import BLOCKS
from commonview.wire.version import GbVersion
from tests.loopback.ground import FIRMWARE, NEWER_BLOCKS
from tests.loopback.table import NEW, OLD, Way
from tests.network.harness import Room, now, until

RECORDED: Final = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
PATIENCE_S: Final = 120.0
"""For a machine much slower than any; a scene that holds waits for none of it."""


@dataclass(frozen=True, slots=True)
class End:
    """One simulated camera of two channels, and the room above it. `http` takes pictures and has firmware."""

    way: Way
    room: Room
    camera: SimulatedCamera
    http: str

    @property
    def device_id(self) -> str:
        return self.camera.settings.device_id

    @property
    def gb_id(self) -> str:
        return self.camera.settings.channels[0].channel_id

    @property
    def channel_id(self) -> str:
        return f"{self.device_id}-{self.gb_id}"

    @property
    def record(self) -> DeviceRecord:
        return self.target(device=True).record

    def target(self, *, device: bool = False) -> Target:
        control = self.room.service.control
        return control.device(self.device_id) if device else control.channel(self.channel_id)

    @property
    def state(self) -> Any:
        """What the camera remembers of its first channel."""
        return self.camera.controls.channels[self.gb_id]

    async def give(self, order: Order, *, device: bool = False) -> None:
        """Give an order; return when the camera has taken it, and answered where an answer is due."""
        control = self.room.service.control
        command = await control.order(self.target(device=device), order, "operator")
        async with asyncio.timeout(PATIENCE_S):
            while not command.over and not command.reached(CommandState.ANSWERED):
                if command.reached(CommandState.ACCEPTED) and not _answered(order):
                    break
                await asyncio.sleep(0.02)
                command = await control.command(command.id)
        wanted = CommandState.ANSWERED if _answered(order) else CommandState.ACCEPTED
        assert command.reached(wanted), command

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition, seconds=PATIENCE_S)

    async def subscribe(self, kind: SubscriptionKind) -> None:
        service = self.room.service
        await service.want_subscription(self.device_id, kind, True)
        await self.until(
            lambda: any(
                one.kind is kind and one.status is SubscriptionStatus.ACTIVE
                for one in service.subscriptions_of(self.device_id)
            )
        )


_UNANSWERED: Final = (
    *(orders.PresetSet, orders.PresetCall, orders.CruiseAddPoint, orders.IFrame, orders.DragZoom),
    *(orders.PreciseMove, orders.FormatCard, orders.Reboot),
)


def _answered(order: Order) -> bool:
    """Whether the standard has a business answer to it (9.3.3)."""
    return not isinstance(order, _UNANSWERED)


@dataclass(frozen=True, slots=True)
class Scene:
    """What shows the rows named in `covers`, for peers of `since` and later."""

    play: Callable[[End], Awaitable[None]]
    since: GbVersion
    covers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.play.__name__


SCENES: list[Scene] = []


def scene(
    *covers: str, since: GbVersion = OLD
) -> Callable[[Callable[[End], Awaitable[None]]], Callable[[End], Awaitable[None]]]:
    def enter(play: Callable[[End], Awaitable[None]]) -> Callable[[End], Awaitable[None]]:
        SCENES.append(Scene(play, since, covers))
        return play

    return enter


def both(cmd_type: str) -> tuple[str, str]:
    """A query and what answers it."""
    return f"Query/{cmd_type}", f"Response/{cmd_type}"


# -- being there, and the catalogue


@scene(*both("Catalog"), "Notify/Keepalive")
async def it_is_alive_and_lists_its_channels(end: End) -> None:
    service, beats = end.room.service, end.camera.counters.keepalives
    await service.refresh_catalogue(end.device_id)
    await end.until(lambda: service.device(end.device_id).catalogue.state is CatalogueState.COMPLETE)
    tree = next(one for one in service.tree() if one.device.id == end.device_id)
    assert [one.name for one in tree.channels] == ["东门 1", "东门 2"]
    await end.until(lambda: end.camera.counters.keepalives > beats)


@scene(*both("DeviceInfo"), *both("DeviceStatus"))
async def it_says_what_it_is_and_how(end: End) -> None:
    questions = end.room.service.control.questions
    info = await questions.info(end.record, end.device_id)
    assert (info.device_name, info.model) == ("北门 North", "Simulated Camera")
    assert (await questions.status(end.record, end.gb_id)).online == "ONLINE"


@scene("Notify/Catalog")
async def changes_of_the_catalogue_are_told(end: End) -> None:
    await end.subscribe(SubscriptionKind.CATALOGUE)
    second = end.camera.settings.channels[1].channel_id

    def status() -> ChannelStatus:
        return end.room.service.channel(f"{end.device_id}-{second}").status

    end.camera.switch_channel(second, on=False)
    await end.until(lambda: status() is ChannelStatus.OFF)
    end.camera.switch_channel(second, on=True)
    await end.until(lambda: status() is ChannelStatus.ON)


# -- alarms and places


@scene("Query/Alarm", "Notify/Alarm", "Response/Alarm")
async def an_alarm_is_told_and_answered(end: End) -> None:
    await end.subscribe(SubscriptionKind.ALARM)
    assert end.camera.raise_alarm(method=5, alarm_type=5)
    await end.until(lambda: end.camera.counters.alarms_answered >= 1)
    kept = await end.room.service.events.alarms.list()
    assert end.device_id in {one.device_id for one in kept}


@scene("Query/MobilePosition", "Notify/MobilePosition")
async def where_it_drives_is_told(end: End) -> None:
    await end.subscribe(SubscriptionKind.MOBILE_POSITION)
    book = end.room.service.events.positions
    await end.until(lambda: any(one.device_id == end.device_id for one in book.latest()))


@scene("Notify/PTZPosition", since=NEW)
async def where_it_looks_is_told(end: End) -> None:
    await end.subscribe(SubscriptionKind.PTZ_POSITION)
    book = end.room.service.events.positions
    await end.give(orders.PreciseMove(pan=10.0, tilt=5.0, zoom=1.0))
    await end.until(lambda: (look := book.look(end.device_id, end.gb_id)) is not None and look.pan == 10.0)


@scene("Notify/VideoUploadNotify", since=NEW)
async def it_asks_to_be_watched(end: End) -> None:
    await end.camera.reports.ask_to_be_pulled()
    alarms = end.room.service.events.alarms
    async with asyncio.timeout(PATIENCE_S):
        while not await alarms.list(device_id=end.device_id, codes=[AlarmCode.UPLOAD_ASKED]):
            await asyncio.sleep(0.05)


# -- the past


@scene(*both("RecordInfo"))
async def its_recordings_are_listed(end: End) -> None:
    history = end.room.service.history
    found = await history.recordings(end.channel_id, RECORDED, RECORDED + timedelta(hours=1))
    assert [(one.start, one.end) for one in found.spans] == [(RECORDED, RECORDED + timedelta(seconds=1))]


@scene("Notify/MediaStatus")
async def the_end_of_a_recording_is_told(end: End) -> None:
    history = end.room.service.history
    access = f"viewer of {end.device_id}"
    playback = history.start_playback(end.channel_id, access, RECORDED, RECORDED + timedelta(seconds=1))
    over = (PlaybackState.FINISHED, PlaybackState.ENDED, PlaybackState.FAILED)
    await end.until(lambda: history.playbacks.playback(playback.id).state in over)
    assert history.playbacks.playback(playback.id).state is PlaybackState.FINISHED


# -- control


@scene("Control/DeviceControl/PTZCmd", *both("PresetQuery"))
async def a_preset_is_set_and_listed(end: End) -> None:
    await end.give(orders.PresetSet(number=1, name="大门" if end.way.version >= NEW else ""))
    presets = await end.room.service.control.questions.presets(end.record, end.gb_id)
    wanted = "大门" if end.way.version >= NEW else "预置位1"
    assert [(one.number, one.preset_name) for one in presets.values()] == [(1, wanted)]


@scene(
    *("Control/DeviceControl/GuardCmd", "Control/DeviceControl/RecordCmd"),
    *("Control/DeviceControl/AlarmCmd", "Response/DeviceControl"),
)
async def guard_recording_and_reset_are_done_and_answered(end: End) -> None:
    end.state.alarm = True
    await end.give(orders.Guard(on=True), device=False)
    await end.give(orders.Record(on=True))
    await end.give(orders.AlarmReset(method=2))
    assert (end.state.guarded, end.state.recording, end.state.alarm) == (True, True, False)


@scene(*(f"Control/DeviceControl/{one}" for one in ("IFrameCmd", "DragZoomIn", "DragZoomOut")))
async def key_frame_and_drag_zoom_are_taken(end: End) -> None:
    asked = end.state.head.look(asyncio.get_running_loop().time())
    await end.give(orders.IFrame())
    area = {"window_length": 640, "window_width": 480, "mid_x": 500, "mid_y": 100}
    for direction in ("in", "out"):
        await end.give(orders.DragZoom(direction=direction, **area, length_x=320, length_y=240))
        await end.until(lambda: end.state.head.look(asyncio.get_running_loop().time()) != asked)


@scene("Control/DeviceControl/HomePosition")
async def a_home_position_is_set(end: End) -> None:
    await end.give(orders.HomePosition(enabled=True, preset=1, reset_s=600))
    assert end.state.home.preset_index == 1


@scene(*both("HomePositionQuery"), *both("CruiseTrackListQuery"), *both("CruiseTrackQuery"), since=NEW)
async def home_and_tours_are_asked_for(end: End) -> None:
    questions = end.room.service.control.questions
    await end.give(orders.CruiseAddPoint(cruise=2, preset=1))
    home = await questions.home_position(end.record, end.gb_id)
    assert home is not None
    assert home.preset_index == 1
    assert [one.name for one in (await questions.cruises(end.record, end.gb_id)).values()] == ["巡航2"]
    assert [one.preset_index for one in (await questions.cruise(end.record, end.gb_id, 2)).points] == [1]


@scene("Control/DeviceControl/PTZPreciseCtrl", *both("PTZPosition"), since=NEW)
async def a_precise_position_is_reached_and_told(end: End) -> None:
    await end.give(orders.PreciseMove(pan=12.0, tilt=3.0, zoom=1.0))
    questions = end.room.service.control.questions
    async with asyncio.timeout(PATIENCE_S):
        while (await questions.position(end.record, end.gb_id)).pan != 12.0:
            await asyncio.sleep(0.05)


@scene("Control/DeviceControl/FormatSDCard", *both("SDCardStatus"), since=NEW)
async def a_card_is_formatted(end: End) -> None:
    await end.give(orders.FormatCard(card=1))
    cards = await end.room.service.control.questions.cards(end.record, end.gb_id)
    assert [one.status for one in cards.values()] == [wire.SDCardState.FORMATTING]


@scene("Control/DeviceControl/DeviceUpgrade", "Notify/DeviceUpgradeResult", since=NEW)
async def firmware_is_fetched_and_its_result_told(end: End) -> None:
    url = f"{end.http}{FIRMWARE}"
    await end.give(orders.Upgrade(firmware="2.0", file_url=url, manufacturer="Commonview"), device=True)
    await end.until(lambda: end.camera.controls.firmware == "2.0")
    [command, *_] = await end.room.service.control.commands(device_id=end.device_id, limit=1)
    async with asyncio.timeout(PATIENCE_S):
        while not command.over:
            await asyncio.sleep(0.02)
            command = await end.room.service.control.command(command.id)
    assert command.reached(CommandState.OBSERVED)


# -- configuration


@scene("Control/DeviceConfig/BasicParam", "Response/DeviceConfig", *both("ConfigDownload"))
async def basic_parameters_are_written_and_read(end: End) -> None:
    await end.give(orders.BasicParameters(name="西门", heartbeat_interval_s=60))
    questions = end.room.service.control.questions
    blocks = await questions.configuration(end.record, end.gb_id, [ConfigType.BASIC_PARAM])
    basic = blocks[ConfigType.BASIC_PARAM]
    assert isinstance(basic, wire.BasicParam)
    assert basic.name == "西门"


@scene(*(f"Control/DeviceConfig/{one}" for one in ("VideoParamOpt", "SVACEncodeConfig", "SVACDecodeConfig")))
async def blocks_without_an_order_are_written_as_they_were_read(end: End) -> None:
    """There is no order for them (read only in practice, and a codec that is not ours)."""
    kinds = (ConfigType.VIDEO_PARAM_OPT, ConfigType.SVAC_ENCODE_CONFIG, ConfigType.SVAC_DECODE_CONFIG)
    service = end.room.service
    read = await service.control.questions.configuration(end.record, end.gb_id, kinds)
    assert set(read) == set(kinds)
    for block in read.values():
        sn = service.exchange.next_sn()
        order = wire.DeviceConfig(sn=sn, device_id=end.gb_id, blocks=(block,))  # type: ignore[arg-type]
        reply = await service.exchange.ask(end.record, order, expect=wire.DeviceConfigResult)
        assert reply.answered


@scene(*(f"Control/DeviceConfig/{kind.value}" for _, kind in NEWER_BLOCKS), since=NEW)
async def every_newer_block_is_written_and_reads_back(end: End) -> None:
    for order, _ in NEWER_BLOCKS:
        await end.give(order)
    kinds = [one for one in ConfigType if one is not ConfigType.SNAP_SHOT_CONFIG]
    read = await end.room.service.control.questions.configuration(end.record, end.gb_id, kinds)
    assert set(read) == set(kinds) == set(BLOCKS) - {ConfigType.SNAP_SHOT_CONFIG}
    osd = read[ConfigType.OSD_CONFIG]
    assert isinstance(osd, wire.OsdConfig)
    assert [one.text for one in osd.items] == ["东门 East Gate"]


@scene("Control/DeviceConfig/SnapShotConfig", "Notify/UploadSnapShotFinished", since=NEW)
async def pictures_are_uploaded_and_told(end: End) -> None:
    snapshots = end.room.service.control.snapshots
    order = SnapshotOrder(1, 1, "operator", "grant", now() + timedelta(minutes=5))
    command, task = await snapshots.take(end.target(), order, end.http)
    assert await task > 0
    assert (await end.room.service.control.command(command.id)).reached(CommandState.OBSERVED)


# -- voice, and the end


@scene("Notify/Broadcast", "Response/Broadcast")
async def a_broadcast_is_announced_and_the_device_calls(end: End) -> None:
    voice = end.room.service.voice
    access = f"speaker to {end.device_id}"
    talk = voice.start(end.channel_id, access_id=access, grant_id="g", ends_at=now() + timedelta(minutes=5))
    await end.until(lambda: any(one[:2] == ("open_talk", talk.id) for one in end.room.node.played))
    voice.leave(access)


@scene("Control/DeviceControl/TeleBoot")
async def it_restarts_and_comes_back(end: End) -> None:
    before = end.camera.counters.registrations
    await end.give(orders.Reboot(), device=True)
    await end.until(lambda: end.camera.counters.registrations > before)
