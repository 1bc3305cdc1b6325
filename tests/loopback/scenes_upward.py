"""Our subordinate under our superior: what is handed on, what it answers by itself, what it refuses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest

from commonview.network import CatalogueState, ChannelStatus
from commonview.network.control import CommandFailure, Order, SnapshotOrder, Target, orders
from commonview.network.directory import DeviceRecord
from commonview.network.events import AlarmCode, SubscriptionKind, SubscriptionStatus
from commonview.network.exchange import PeerRefused
from commonview.network.history import PlaybackState
from commonview.network.model import FailureCode
from commonview.network.voice import TalkState
from commonview.simulator import SimulatedCamera
from commonview.wire import manscdp as wire
from commonview.wire.manscdp import ConfigType
from commonview.wire.manscdp.config_blocks import BLOCKS
from commonview.wire.version import GbVersion
from tests.loopback.ground import NEWER_BLOCKS
from tests.loopback.scenes_below import PATIENCE_S, RECORDED, both
from tests.loopback.table import NEW, OLD, Way
from tests.network.harness import Room, now, until


@dataclass(frozen=True, slots=True)
class Upper:
    """One registration of the lower platform at the upper one, and the one channel that is shared by it."""

    way: Way
    upper: Room
    lower: Room
    camera: SimulatedCamera
    local_id: str
    gb_id: str

    @property
    def device_id(self) -> str:
        return self.local_id

    @property
    def channel_id(self) -> str:
        return f"{self.local_id}-{self.gb_id}"

    @property
    def record(self) -> DeviceRecord:
        return self.target(device=True).record

    def target(self, *, device: bool = False) -> Target:
        control = self.upper.service.control
        return control.device(self.local_id) if device else control.channel(self.channel_id)

    async def end_of(self, order: Order, *, device: bool = False) -> CommandFailure | None:
        """Give an order and wait for its end: how it failed, None when it did not."""
        control = self.upper.service.control
        command = await control.order(self.target(device=device), order, "operator")
        async with asyncio.timeout(PATIENCE_S):
            while not command.over:
                await asyncio.sleep(0.02)
                command = await control.command(command.id)
        return command.failure

    async def takes(self, *given: Order) -> None:
        """Each is accepted; whether its effect shows is not asked here."""
        for order in given:
            assert await self.end_of(order) in (None, CommandFailure.NOT_OBSERVED), order

    async def refuses(self, *given: Order, device: bool = False) -> None:
        """Each belongs to the device's owner."""
        for order in given:
            assert await self.end_of(order, device=device) is CommandFailure.REFUSED_BY_DEVICE, order

    async def until(self, condition: Callable[[], object]) -> None:
        await until(condition, seconds=PATIENCE_S)

    async def subscribe(self, kind: SubscriptionKind) -> None:
        service = self.upper.service
        await service.want_subscription(self.local_id, kind, True)
        await self.until(
            lambda: any(
                one.kind is kind and one.status is SubscriptionStatus.ACTIVE
                for one in service.subscriptions_of(self.local_id)
            )
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """As below."""

    play: Callable[[Upper], Awaitable[None]]
    since: GbVersion
    covers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.play.__name__


SCENES: list[Scene] = []
Play = Callable[[Upper], Awaitable[None]]


def scene(*covers: str, since: GbVersion = OLD) -> Callable[[Play], Play]:
    def enter(play: Play) -> Play:
        SCENES.append(Scene(play, since, covers))
        return play

    return enter


def controls(*parts: str) -> tuple[str, ...]:
    return tuple(f"Control/DeviceControl/{part}" for part in parts)


@scene(*both("Catalog"), "Notify/Keepalive")
async def it_is_alive_and_lists_what_is_shared(end: Upper) -> None:
    service = end.upper.service
    await service.refresh_catalogue(end.local_id)
    await end.until(lambda: service.device(end.local_id).catalogue.state is CatalogueState.COMPLETE)
    tree = next(one for one in service.tree() if one.device.id == end.local_id)
    names = {one.gb_id: one.name for one in tree.channels if one.vanished_at is None}
    assert names[end.gb_id].startswith("东门 ")
    heard = service.device(end.local_id).last_keepalive_at
    await end.until(lambda: service.device(end.local_id).last_keepalive_at != heard)


@scene(*both("DeviceInfo"), *both("DeviceStatus"))
async def it_says_what_it_and_its_channel_are(end: Upper) -> None:
    questions = end.upper.service.control.questions
    assert (await questions.info(end.record, end.local_id)).manufacturer == "Commonview"
    assert (await questions.info(end.record, end.gb_id)).device_name.startswith("东门 ")
    assert (await questions.status(end.record, end.gb_id)).online == "ONLINE"


@scene("Notify/Catalog")
async def changes_of_what_is_shared_are_told(end: Upper) -> None:
    await end.subscribe(SubscriptionKind.CATALOGUE)

    def status() -> ChannelStatus:
        return end.upper.service.channel(end.channel_id).status

    end.camera.switch_channel(end.gb_id, on=False)
    await end.until(lambda: status() is ChannelStatus.OFF)
    end.camera.switch_channel(end.gb_id, on=True)
    await end.until(lambda: status() is ChannelStatus.ON)


@scene("Query/Alarm", "Notify/Alarm", "Response/Alarm")
async def an_alarm_goes_up_and_is_answered(end: Upper) -> None:
    await end.subscribe(SubscriptionKind.ALARM)
    alarms = end.upper.service.events.alarms
    answered = end.lower.service.cascade.notices.counters["alarm_answered"]
    await end.camera.registration.send(wire.VideoUploadNotify(sn=1, device_id=end.gb_id, time=now()))
    assert end.camera.raise_alarm(end.gb_id, method=5, alarm_type=5)
    await end.until(lambda: end.lower.service.cascade.notices.counters["alarm_answered"] > answered)
    async with asyncio.timeout(PATIENCE_S):
        while not (heard := await alarms.list(device_id=end.local_id)):
            await asyncio.sleep(0.05)
    assert [(one.source_id, one.code) for one in heard] == [(end.gb_id, AlarmCode.TRIPWIRE)]


@scene("Query/MobilePosition", "Notify/MobilePosition")
async def where_it_is_goes_up(end: Upper) -> None:
    await end.subscribe(SubscriptionKind.MOBILE_POSITION)
    here = wire.Position(device_id=end.gb_id, longitude=117.2, latitude=31.8)
    told = wire.MobilePosition(
        sn=1, device_id=end.camera.settings.device_id, time=now(), sum_num=1, positions=(here,)
    )
    await end.camera.registration.send(told)
    book = end.upper.service.events.positions
    await end.until(lambda: any(one.source_id == end.gb_id for one in book.latest()))


@scene("Notify/PTZPosition", since=NEW)
async def where_it_looks_goes_up(end: Upper) -> None:
    await end.subscribe(SubscriptionKind.PTZ_POSITION)
    below = end.lower.service
    (record,) = below._directory.records()
    await below.events.subscriptions.want(record, SubscriptionKind.PTZ_POSITION, True)
    book = end.upper.service.events.positions
    pans = itertools.cycle((20.0, 40.0))  # others steer the same camera, and only a change is told
    async with asyncio.timeout(PATIENCE_S):
        while book.look(end.local_id, end.gb_id) is None:
            await end.takes(orders.PreciseMove(pan=next(pans), tilt=4.0, zoom=1.0))
            await asyncio.sleep(0.5)


@scene(*both("RecordInfo"), "Notify/MediaStatus")
async def its_past_is_listed_and_played_to_the_end(end: Upper) -> None:
    history = end.upper.service.history
    found = await history.recordings(end.channel_id, RECORDED, RECORDED + timedelta(hours=1))
    assert [(one.start, one.end) for one in found.spans] == [(RECORDED, RECORDED + timedelta(seconds=1))]
    access = f"viewer of {end.local_id}"
    playback = history.start_playback(end.channel_id, access, RECORDED, RECORDED + timedelta(seconds=1))
    over = (PlaybackState.FINISHED, PlaybackState.ENDED, PlaybackState.FAILED)
    await end.until(lambda: history.playbacks.playback(playback.id).state in over)
    assert history.playbacks.playback(playback.id).state is PlaybackState.FINISHED


@scene(*controls("PTZCmd"), *both("PresetQuery"))
async def presets_are_set_and_listed_below(end: Upper) -> None:
    await end.takes(orders.PresetSet(number=1))
    presets = await end.upper.service.control.questions.presets(end.record, end.gb_id)
    assert [(one.number, one.preset_name) for one in presets.values()] == [(1, "预置位1")]


@scene(
    *controls("AlarmCmd", "HomePosition", "IFrameCmd", "DragZoomIn", "DragZoomOut"),
    "Response/DeviceControl",
)
async def what_concerns_the_picture_is_handed_on(end: Upper) -> None:
    state = end.camera.controls.channels[end.gb_id]
    state.alarm = True
    await end.takes(orders.AlarmReset(), orders.HomePosition(enabled=True, preset=1, reset_s=600))
    assert (state.alarm, state.home.preset_index) == (False, 1)
    await end.takes(orders.IFrame())
    area = {"window_length": 640, "window_width": 480, "mid_x": 500, "mid_y": 100}
    for direction in ("in", "out"):
        await end.takes(orders.DragZoom(direction=direction, **area, length_x=320, length_y=240))


@scene(
    *both("HomePositionQuery"),
    *both("CruiseTrackListQuery"),
    *both("CruiseTrackQuery"),
    *both("PTZPosition"),
    *controls("PTZPreciseCtrl"),
    since=NEW,
)
async def newer_questions_are_handed_on(end: Upper) -> None:
    questions = end.upper.service.control.questions
    await end.takes(orders.CruiseAddPoint(cruise=2, preset=1))
    home = await questions.home_position(end.record, end.gb_id)
    assert home is not None
    assert home.preset_index == 1
    assert [one.name for one in (await questions.cruises(end.record, end.gb_id)).values()] == ["巡航2"]
    assert [one.preset_index for one in (await questions.cruise(end.record, end.gb_id, 2)).points] == [1]
    await end.takes(orders.PreciseMove(pan=12.0, tilt=3.0, zoom=1.0))
    async with asyncio.timeout(PATIENCE_S):
        while (await questions.position(end.record, end.gb_id)).pan != 12.0:
            await asyncio.sleep(0.05)


# -- what is the owner's


@scene(
    *controls("TeleBoot", "RecordCmd", "GuardCmd"), "Control/DeviceConfig/BasicParam", "Response/DeviceConfig"
)
async def what_belongs_to_the_owner_is_refused(end: Upper) -> None:
    await end.refuses(orders.Guard(on=True), orders.Record(on=True))
    await end.refuses(orders.Reboot(), orders.BasicParameters(name="西门"), device=True)
    state = end.camera.controls.channels[end.gb_id]
    assert (state.guarded, state.recording) == (False, False)


_UNORDERED: Final = (ConfigType.VIDEO_PARAM_OPT, ConfigType.SVAC_ENCODE_CONFIG, ConfigType.SVAC_DECODE_CONFIG)


@scene(*(f"Control/DeviceConfig/{kind.value}" for kind in _UNORDERED))
async def blocks_without_an_order_are_refused_too(end: Upper) -> None:
    exchange = end.upper.service.exchange
    for kind in _UNORDERED:
        block = BLOCKS[kind]()
        message = wire.DeviceConfig(sn=exchange.next_sn(), device_id=end.gb_id, blocks=(block,))  # type: ignore[arg-type]
        with pytest.raises(PeerRefused):
            await exchange.ask(end.record, message, expect=wire.DeviceConfigResult)


@scene(
    *controls("DeviceUpgrade", "FormatSDCard"),
    *(f"Control/DeviceConfig/{kind.value}" for _, kind in NEWER_BLOCKS),
    "Control/DeviceConfig/SnapShotConfig",
    since=NEW,
)
async def newer_orders_of_the_owner_are_refused(end: Upper) -> None:
    upgrade = orders.Upgrade(firmware="2.0", file_url="http://127.0.0.1/fw", manufacturer="Commonview")
    await end.refuses(upgrade, orders.FormatCard(card=1), device=True)
    await end.refuses(*(order for order, _ in NEWER_BLOCKS))
    order = SnapshotOrder(1, 1, "operator", "grant", now() + timedelta(minutes=5))
    snapshots = end.upper.service.control.snapshots
    command, task = await snapshots.take(end.target(), order, "http://127.0.0.1")
    assert await task == 0
    failure = (await end.upper.service.control.command(command.id)).failure
    assert failure is CommandFailure.REFUSED_BY_DEVICE


@scene(*both("ConfigDownload"))
async def its_configuration_is_told(end: Upper) -> None:
    questions = end.upper.service.control.questions
    blocks = await questions.configuration(end.record, end.gb_id, [ConfigType.BASIC_PARAM])
    assert list(blocks) == [ConfigType.BASIC_PARAM]


@scene(*both("SDCardStatus"), since=NEW)
async def its_cards_are_told(end: Upper) -> None:
    cards = await end.upper.service.control.questions.cards(end.record, end.gb_id)
    assert list(cards) == ["1"]


@scene("Notify/Broadcast", "Response/Broadcast")
async def a_voice_is_refused_where_talk_is_not_allowed(end: Upper) -> None:
    voice = end.upper.service.voice
    access = f"speaker to {end.local_id}"
    talk = voice.start(end.channel_id, access_id=access, grant_id="g", ends_at=now() + timedelta(minutes=5))
    await end.until(lambda: voice.talk(talk.id).state is TalkState.FAILED)
    failure = voice.talk(talk.id).failure
    assert failure is not None
    assert failure.code is FailureCode.BROADCAST_REFUSED
