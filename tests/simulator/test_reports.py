"""What simulated devices report by themselves, heard by a whole network room over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commonview.network import CatalogueState, ChannelStatus
from commonview.network.control import orders
from commonview.network.events import (
    AlarmCode,
    LinkageAction,
    LinkageDraft,
    SubscriptionKind,
    SubscriptionStatus,
)
from commonview.network.model import Channel as TreeChannel
from commonview.simulator import Channel, Faults, SimulatedCamera, commit
from commonview.simulator.route import RING_ROAD, Route
from commonview.wire.version import GbVersion
from tests.network.harness import DEVICE, Room, StillSource, free_port, open_room, until
from tests.network.test_sip_tls import certificate

pytestmark = pytest.mark.anyio
CAMERA = "34020000001320000001"
EDITIONS = pytest.mark.parametrize("version", [GbVersion.V2016, GbVersion.V2022], ids=["2016", "2022"])


@asynccontextmanager
async def joined(
    folder: Path,
    *kinds: SubscriptionKind,
    faults: Faults | None = None,
    room: dict[str, Any] | None = None,
    **camera: Any,
) -> AsyncIterator[tuple[Room, SimulatedCamera]]:
    """A room with one camera of two channels, subscribed to `kinds`."""
    async with open_room(
        folder, **({"keepalive_interval_s": 60, "subscription_delay_s": 0} | (room or {}))
    ) as opened:
        server = camera.pop("server", opened.server())
        settings = replace(opened.camera_settings(channels=2), server=server, alarm_repeat_s=0.2, **camera)
        async with SimulatedCamera(settings, faults=faults) as device:
            await until(lambda: [one.catalogue.state for one in opened.service.devices()] == _COMPLETE)
            for kind in kinds:
                await opened.service.want_subscription(DEVICE, kind, True)
                await until(lambda kind=kind: status(opened, kind) is SubscriptionStatus.ACTIVE)  # type: ignore[misc]
            yield opened, device


_COMPLETE = [CatalogueState.COMPLETE]


def status(room: Room, kind: SubscriptionKind) -> SubscriptionStatus:
    return next(one.status for one in room.service.subscriptions_of(DEVICE) if one.kind is kind)


async def order(room: Room, what: orders.Order) -> None:
    control = room.service.control
    await control.order(control.channel(f"{DEVICE}-{CAMERA}"), what, "operator")


@EDITIONS
@pytest.mark.parametrize("kinds", [(), (SubscriptionKind.ALARM,)], ids=["by itself", "subscribed"])
async def test_alarm_arrives_once_and_is_answered(
    tmp_path: Path, version: GbVersion, kinds: tuple[SubscriptionKind, ...]
) -> None:
    async with joined(tmp_path, *kinds, version=version) as (room, camera):
        assert camera.raise_alarm(method=5, alarm_type=5)
        await until(lambda: camera.counters.alarms_answered == 1)
        [kept] = await room.service.events.alarms.list()
        assert (kept.source_id, kept.code, kept.priority) == (CAMERA, AlarmCode.TRIPWIRE, 2)
        assert camera.counters.alarms_sent == 1 + kept.repeats
        assert (camera.counters.notices_sent > 1) == bool(kinds)


async def test_alarm_of_the_device_waits_for_the_reset_of_the_last_one(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, camera):
        assert camera.raise_alarm(method=2, alarm_type=2)
        assert not camera.raise_alarm(method=2, alarm_type=2)
        await until(lambda: camera.counters.alarms_answered == 1)
        await order(room, orders.AlarmReset())
        await until(lambda: not camera.controls.channels[CAMERA].alarm)
        assert camera.raise_alarm(method=2, alarm_type=2)


@pytest.mark.trap(27)
async def test_alarm_that_needs_a_guard_comes_after_it(tmp_path: Path) -> None:
    async with joined(tmp_path, faults=commit(["alarms-need-guard"])) as (room, camera):
        assert not camera.raise_alarm()
        await order(room, orders.Guard(on=True))
        await until(lambda: camera.controls.channels[CAMERA].guarded)
        assert camera.raise_alarm()
        await until(lambda: camera.counters.alarms_answered == 1)


@EDITIONS
async def test_catalogue_events_change_the_tree_without_a_query(tmp_path: Path, version: GbVersion) -> None:
    async with joined(tmp_path, SubscriptionKind.CATALOGUE, version=version) as (room, camera):
        asked = camera.counters.queries

        def listed() -> tuple[TreeChannel, ...]:
            return room.service.tree()[0].channels

        def tree() -> dict[str, ChannelStatus]:
            return {one.gb_id: one.status for one in listed()}

        second = "34020000001320000002"
        camera.switch_channel(second, on=False)
        await until(lambda: tree()[second] is ChannelStatus.OFF)
        camera.switch_channel(second, on=True)
        await until(lambda: tree()[second] is ChannelStatus.ON)
        camera.add_channel(Channel("34020000001320000009", "new gate", StillSource()))
        await until(lambda: "34020000001320000009" in tree())
        camera.remove_channel(CAMERA)
        await until(lambda: [one.gb_id for one in listed() if one.vanished_at is not None] == [CAMERA])
        assert camera.counters.queries == asked


@EDITIONS
async def test_moving_device_tells_its_way(tmp_path: Path, version: GbVersion) -> None:
    kind = SubscriptionKind.MOBILE_POSITION
    async with joined(tmp_path, kind, version=version, route=RING_ROAD) as (room, camera):
        book = room.service.events.positions
        await until(lambda: len(book.latest()) == 1)
        await camera.reports.report_position()
        await until(lambda: book.counters["position"] >= 2)
        [told] = book.latest()
        assert told.source_id == DEVICE
        assert 117.19 < told.longitude < 117.25
        assert told.speed_kmh == 60.0


async def test_turning_dome_tells_where_it_looks_until_it_rests(tmp_path: Path) -> None:
    async with joined(tmp_path, SubscriptionKind.PTZ_POSITION) as (room, _):
        book = room.service.events.positions

        def pan() -> float | None:
            look = book.look(DEVICE, CAMERA)
            return None if look is None else look.pan

        await order(room, orders.PreciseMove(pan=90.0, tilt=10.0, zoom=1.0))
        await until(lambda: 0 < (pan() or 0) < 90)
        await until(lambda: pan() == 90.0)


async def test_older_camera_knows_no_subscription_to_where_it_looks(tmp_path: Path) -> None:
    async with joined(tmp_path, version=GbVersion.V2016) as (room, _):
        await room.service.want_subscription(DEVICE, SubscriptionKind.PTZ_POSITION, True)
        assert room.service.counters()["subscriptions.subscription_needs_2022"] == 1


@pytest.mark.parametrize("algorithms", ["MD5", "SHA-256", "SM3", "SM3,SHA-256,MD5"])
@pytest.mark.parametrize("qop", [False, True], ids=["plain", "qop"])
async def test_camera_answers_every_digest(tmp_path: Path, algorithms: str, qop: bool) -> None:
    room = {"sip_digest_algorithms": algorithms, "sip_digest_qop": qop}
    async with joined(tmp_path, room=room) as (_, camera):
        assert camera.counters.registrations == 1


async def test_camera_signals_over_tls(tmp_path: Path) -> None:
    paper, key = certificate(tmp_path, "platform")
    port = free_port()
    room: dict[str, Any] = {"sip_tls_port": port, "sip_tls_certificate": paper, "sip_tls_key": key}
    async with open_room(tmp_path, **room) as opened:
        settings = replace(
            opened.camera_settings(),
            server=replace(opened.server(), port=port),
            transport="tls",
            tls_ca=paper,
        )
        async with SimulatedCamera(settings) as camera:
            await until(lambda: [one.catalogue.state for one in opened.service.devices()] == _COMPLETE)
            assert camera.raise_alarm()
            await until(lambda: camera.counters.alarms_answered == 1)


def test_route_is_driven_round_at_its_speed() -> None:
    square = Route(((0.0, 0.0), (0.001, 0.0), (0.001, 0.001), (0.0, 0.001)), 36.0)
    assert square.at(0.0).direction == 90.0
    assert square.at(5.0).longitude == pytest.approx(50 / 111_320, abs=1e-6)
    assert square.at(5.0).latitude == 0.0
    round_s = 4 * 111.32 / 10
    assert square.at(round_s).longitude == pytest.approx(square.at(0.0).longitude, abs=2e-6)
    with pytest.raises(ValueError, match="two different corners"):
        Route(((1.0, 1.0), (1.0, 1.0)))


async def test_device_that_asks_to_be_pulled_is_shown_where_it_is_and_its_stream_prepared(
    tmp_path: Path,
) -> None:
    async with joined(tmp_path, route=RING_ROAD) as (room, camera):
        events, channel = room.service.events, f"{DEVICE}-{CAMERA}"
        prepare = LinkageDraft(
            name="body-worn",
            enabled=True,
            device_id=DEVICE,
            source_id=None,
            codes=(AlarmCode.UPLOAD_ASKED,),
            priority_at_most=None,
            action=LinkageAction.PREPARE_STREAM,
            target_channel_id=channel,
            preset=None,
            dead_time_s=60,
        )
        await events.linkages.add(prepare)
        await camera.reports.ask_to_be_pulled()
        await until(lambda: camera.calls)
        [asked] = await events.alarms.list()
        assert (asked.code, asked.source_id) == (AlarmCode.UPLOAD_ASKED, DEVICE)
        assert [one.source_id for one in events.positions.latest()] == [DEVICE]
        assert camera.counters.alarms_answered == 0
        assert [one.channel_id for one in room.service.sessions()] == [channel]
