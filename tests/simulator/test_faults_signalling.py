"""Devices that signal badly, in front of a whole network room over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commonview.network import CatalogueState, ChannelStatus
from commonview.network.control import CommandFailure, CommandState, orders
from commonview.network.events import SubscriptionKind, SubscriptionStatus
from commonview.network.history.model import Completeness, RecordingSpan
from commonview.simulator import (
    CameraState,
    Recorder,
    Segment,
    SimulatedCamera,
    StillPainter,
    Voice,
    commit,
)
from commonview.simulator.route import RING_ROAD
from commonview.wire.manscdp import AlarmQuery
from commonview.wire.version import GbVersion
from tests.network.harness import DEVICE, Room, open_room, until
from tests.waiting import answered

pytestmark = pytest.mark.anyio
CAMERA = "34020000001320000001"
CHANNEL = f"{DEVICE}-{CAMERA}"
BY_BOTH = pytest.mark.parametrize("transport", ["udp", "tcp"])


@asynccontextmanager
async def facing(
    folder: Path, *faults: str, channels: int = 9, room: dict[str, Any] | None = None, **camera: Any
) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    """A room, and a camera with these faults that registers with it."""
    async with open_room(folder, **({"subscription_delay_s": 0} | (room or {}))) as opened:
        settings = replace(opened.camera_settings(channels=channels), **camera)
        async with SimulatedCamera(settings, faults=commit(faults)) as device:
            yield opened, device


async def complete(room: Room, channels: int = 9) -> None:
    """Wait for the whole catalogue."""
    await until(
        lambda: (
            [(one.catalogue.state, one.catalogue.received) for one in room.service.devices()]
            == [(CatalogueState.COMPLETE, channels)]
        ),
    )


def counted(room: Room, name: str) -> int:
    return room.service.counters().get(name, 0)


# -- SIP


@pytest.mark.trap(1, 2, 4, 16, 18, 19, 30, 31)
@BY_BOTH
@pytest.mark.parametrize(
    "fault",
    [
        "content-length-zero",
        "content-length-wrong",
        "raw-ampersand",
        "utf8-as-gb2312",
        "gb2312-as-utf8",
        "catalogue-pages-twice",
        "catalogue-pages-late",
        "first-page-late",
        "status-numbers",
        "parents-several",
        "bare-domain-uri",
        "truncated-authorization",
        "unspecified-address",
        "keepalive-twice",
    ],
)
async def test_catalogue_is_complete_all_the_same(tmp_path: Path, transport: str, fault: str) -> None:
    async with facing(tmp_path, fault, transport=transport, name="北门") as (room, _):
        await complete(room)
        assert {one.status for one in room.service.tree()[0].channels} == {ChannelStatus.ON}


@pytest.mark.trap(3)
async def test_catalogue_in_raw_pieces_is_put_together_again(tmp_path: Path) -> None:
    async with facing(tmp_path, "raw-pieces", catalogue_page_items=9) as (room, _):
        await complete(room)


@pytest.mark.trap(5)
async def test_message_without_a_body_is_refused_and_counted(tmp_path: Path) -> None:
    async with facing(tmp_path, "empty-message") as (room, _):
        await until(lambda: room.service.endpoint.counters.parse_errors["MESSAGE without body"] == 1)
        await complete(room)


@pytest.mark.trap(6, 7, 15)
async def test_named_faults_of_registering_are_committed(tmp_path: Path) -> None:
    names = ("truncated-authorization", "bare-domain-uri", "unspecified-address")
    async with facing(tmp_path, *names) as (room, camera):
        await complete(room)
        assert camera.counters.registrations == 1
        await order(room, orders.Guard(on=True))
        await until(lambda: camera.controls.channels[CAMERA].guarded)


@pytest.mark.trap(10)
async def test_huawei_that_never_registers_again_stays_with_its_keepalives(tmp_path: Path) -> None:
    async with facing(
        tmp_path,
        "never-reregisters",
        channels=1,
        expires_s=60,
        keepalive_s=0.1,
        manufacturer="Huawei",
    ) as (room, camera):
        await complete(room, 1)
        await camera.vanish()
        await until(lambda: not room.service.device(DEVICE).online)
        await camera.resume()
        await until(lambda: room.service.device(DEVICE).online)
        assert camera.counters.registrations == 1


@pytest.mark.trap(11)
async def test_doubled_keepalives_keep_the_device_online_and_nothing_more(tmp_path: Path) -> None:
    async with facing(tmp_path, "keepalive-twice", channels=1, keepalive_s=0.1) as (room, camera):
        await until(lambda: camera.counters.keepalives >= 5)
        assert counted(room, "messages.keepalive") >= 2 * 5
        assert room.service.device(DEVICE).online


@pytest.mark.trap(12)
@BY_BOTH
async def test_other_address_is_taken_over_after_a_registration_only(tmp_path: Path, transport: str) -> None:
    async with facing(tmp_path, "address-moves", channels=1, transport=transport) as (room, camera):
        await until(lambda: counted(room, "messages.message_turned_away") >= 1)
        camera.faults = commit([])
        await until(lambda: camera.counters.registrations >= 2 and camera.state is CameraState.REGISTERED)
        await complete(room, 1)
        await order(room, orders.Guard(on=True))
        await until(lambda: camera.controls.channels[CAMERA].guarded)


@pytest.mark.trap(13)
@BY_BOTH
async def test_device_that_registers_all_the_time_leaves_nothing_behind(
    tmp_path: Path, transport: str
) -> None:
    async with facing(tmp_path, "reregisters-often", channels=1, transport=transport, keepalive_s=0.1) as (
        room,
        camera,
    ):
        await until(lambda: camera.counters.registrations >= 12)
        assert room.service.device(DEVICE).online
        assert room.service.endpoint.sizes()["connections"] <= 2
        assert len(room.service.devices()) == 1


# -- catalogues, recordings


@pytest.mark.trap(17)
@pytest.mark.parametrize("fault", ["sum-num-too-large", "sum-num-missing"])
async def test_count_that_lies_costs_no_channel(tmp_path: Path, fault: str) -> None:
    async with facing(tmp_path, fault) as (room, _):
        await until(lambda: [one.catalogue.received for one in room.service.devices()] == [9])
        states = {CatalogueState.COMPLETE, CatalogueState.INCOMPLETE}
        await until(lambda: room.service.devices()[0].catalogue.state in states)


NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


async def recordings(folder: Path, fault: str, **camera: Any) -> tuple[list[RecordingSpan], Completeness]:
    spans = tuple(
        Segment(NOON + timedelta(minutes=n), NOON + timedelta(minutes=n + 1)) for n in range(0, 20, 2)
    )
    async with open_room(folder) as room:
        settings = room.camera_settings(channels=1, **camera)
        only = replace(settings.channels[0], recorder=Recorder(spans, StillPainter()))
        device = SimulatedCamera(replace(settings, channels=(only,)), faults=commit([fault]))
        async with device:
            await until(lambda: any(one.channels for one in room.service.tree()))
            found = await room.service.history.recordings(CHANNEL, NOON, NOON + timedelta(hours=1))
            return list(found.spans), found.completeness


@pytest.mark.trap(20)
async def test_recordings_with_zone_and_milliseconds_are_placed_right(tmp_path: Path) -> None:
    items, completion = await recordings(tmp_path, "record-times-with-zone")
    assert completion is Completeness.COMPLETE
    assert len(items) == 10
    assert items[0].start.replace(microsecond=0) == NOON


@pytest.mark.trap(20)
async def test_recorder_that_wants_a_type_gets_one(tmp_path: Path) -> None:
    items, _ = await recordings(tmp_path, "record-type-required", manufacturer="Dahua")
    assert len(items) == 10


@pytest.mark.trap(17, 18)
@pytest.mark.parametrize("fault", ["records-missing", "sum-num-too-large"])
async def test_missing_recordings_are_told(tmp_path: Path, fault: str) -> None:
    items, completion = await recordings(tmp_path, fault)
    assert completion is not Completeness.COMPLETE
    assert len(items) in {2, 10}


# -- control and configuration


async def order(room: Room, what: orders.Order, *, channel: bool = True) -> str:
    control = room.service.control
    target = control.channel(CHANNEL) if channel else control.device(DEVICE)
    return (await control.order(target, what, "operator")).id


async def carried_out(room: Room, what: orders.Order) -> tuple[CommandState, CommandFailure | None]:
    number = await order(room, what)
    command = await answered(lambda: room.service.control.command(number), lambda known: known.over)
    return command.state, command.failure


BASIC = orders.BasicParameters(name="gate")


@pytest.mark.trap(21)
@pytest.mark.parametrize(
    ("fault", "maker"), [("config-only-device-id", "Dahua"), ("config-unanswered", "Uniview")]
)
async def test_configuration_reaches_peculiar_makers(tmp_path: Path, fault: str, maker: str) -> None:
    async with facing(tmp_path, fault, channels=1, manufacturer=maker) as (room, _):
        await complete(room, 1)
        assert await carried_out(room, BASIC) == (CommandState.OBSERVED, None)


@pytest.mark.trap(22)
async def test_unknown_notice_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    async with facing(tmp_path, "sensor-catalog", channels=1) as (room, _):
        await until(lambda: counted(room, "messages.message_unknown") == 1)
        await complete(room, 1)


@pytest.mark.trap(23)
async def test_error_is_a_refusal_and_no_success(tmp_path: Path) -> None:
    async with facing(tmp_path, "answers-error", channels=1) as (room, _):
        await complete(room, 1)
        assert await carried_out(room, orders.Guard(on=True)) == (
            CommandState.FAILED,
            CommandFailure.REFUSED_BY_DEVICE,
        )


@pytest.mark.trap(24)
async def test_camera_that_accepts_and_does_nothing_is_found_out(tmp_path: Path) -> None:
    async with facing(tmp_path, "never-moves", channels=1) as (room, _):
        await complete(room, 1)
        move = orders.PreciseMove(pan=90.0, tilt=0.0, zoom=1.0)
        assert (await carried_out(room, move))[1] is CommandFailure.NOT_OBSERVED


# -- subscriptions


def status(room: Room, kind: SubscriptionKind) -> SubscriptionStatus:
    return next(one.status for one in room.service.subscriptions_of(DEVICE) if one.kind is kind)


async def subscribed(room: Room, kind: SubscriptionKind) -> None:
    await room.service.want_subscription(DEVICE, kind, True)
    await until(lambda: status(room, kind) is SubscriptionStatus.ACTIVE)


@pytest.mark.trap(9)
async def test_subscription_without_expires_is_kept(tmp_path: Path) -> None:
    async with facing(tmp_path, "no-expires", channels=1) as (room, camera):
        await complete(room, 1)
        await subscribed(room, SubscriptionKind.ALARM)
        assert camera.raise_alarm()
        await until(lambda: camera.counters.alarms_answered == 1)


@pytest.mark.trap(26)
@pytest.mark.parametrize("fault", ["position-flat", "position-target-id"])
async def test_position_is_where_the_device_is_whatever_its_form(tmp_path: Path, fault: str) -> None:
    version = GbVersion.V2016 if fault == "position-target-id" else GbVersion.V2022
    async with facing(tmp_path, fault, channels=1, route=RING_ROAD, version=version) as (room, _):
        await complete(room, 1)
        await subscribed(room, SubscriptionKind.MOBILE_POSITION)
        await until(lambda: len(room.service.events.positions.latest()) == 1)
        [told] = room.service.events.positions.latest()
        assert told.source_id == DEVICE
        assert 117.19 < told.longitude < 117.25


@pytest.mark.trap(27)
async def test_alarms_of_a_device_that_knows_presence_only_arrive(tmp_path: Path) -> None:
    async with facing(tmp_path, "alarm-event-presence", channels=1) as (room, camera):
        await complete(room, 1)
        await room.service.quirks.override(DEVICE, {"alarm_event": "presence"})
        await subscribed(room, SubscriptionKind.ALARM)
        assert camera.raise_alarm()
        await until(lambda: camera.counters.alarms_answered == 1)


@pytest.mark.trap(28)
async def test_forgotten_subscription_is_made_anew(tmp_path: Path) -> None:
    async with facing(tmp_path, "subscription-forgotten", channels=1) as (room, camera):
        await complete(room, 1)
        await subscribed(room, SubscriptionKind.ALARM)
        camera.faults = commit([])
        await until(lambda: bool(camera.reports.subscribers(AlarmQuery)))


@pytest.mark.trap(30)
async def test_flapping_status_may_be_ignored(tmp_path: Path) -> None:
    async with facing(tmp_path, "status-flapping", channels=1, keepalive_s=0.2) as (room, camera):
        await complete(room, 1)

        def on() -> bool:
            return room.service.tree()[0].channels[0].status is ChannelStatus.ON

        await subscribed(room, SubscriptionKind.CATALOGUE)
        await until(lambda: not on())
        await room.service.quirks.override(DEVICE, {"ignore_notify_status": "true"})
        await room.service.refresh_catalogue(DEVICE)
        await until(on)
        told = camera.counters.notices_sent
        await until(lambda: camera.counters.notices_sent > told + 4)
        assert on()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("broadcast-refused", marks=pytest.mark.trap(49)),
        pytest.param("broadcast-as-device", marks=pytest.mark.trap(32)),
    ],
)
async def test_voice_reaches_a_device_however_it_wants_to_be_called(tmp_path: Path, fault: str) -> None:
    async with facing(tmp_path, fault, channels=1, voice=Voice()) as (room, camera):
        await complete(room, 1)
        ends_at = datetime.now(UTC) + timedelta(minutes=5)
        talk = room.service.voice.start(CHANNEL, access_id="a", grant_id="g", ends_at=ends_at)
        await until(lambda: camera.voice.listening)
        assert ("open_talk", talk.id) in [one[:2] for one in room.node.played]
        assert camera.counters.invites == (fault == "broadcast-refused")
