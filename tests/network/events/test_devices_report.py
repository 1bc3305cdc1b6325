"""A device made of one socket raises alarms, moves and is subscribed to; everything over real sockets."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commonview.foundation.errors import StorageUnavailable
from commonview.network import CatalogueState, ChannelStatus
from commonview.network.events import (
    AlarmAcknowledged,
    AlarmCode,
    AlarmState,
    AlarmUnknown,
    LinkageAction,
    LinkageDraft,
    LinkageInvalid,
    SubscriptionKind,
    SubscriptionStatus,
    store,
)
from tests.network.harness import DEVICE, Room, open_room, until
from tests.network.scripted import DOMAIN, PLATFORM, ScriptedDevice, header

pytestmark = pytest.mark.anyio
CAMERA = "34020000001320000001"
CHANNEL = f"{DEVICE}-{CAMERA}"


@asynccontextmanager
async def joined(folder: Path, **more: object) -> AsyncIterator[tuple[Room, ScriptedDevice]]:
    chosen: dict[str, Any] = {"keepalive_interval_s": 60} | more
    async with open_room(folder, **chosen) as room, ScriptedDevice(room.service.sip_port) as device:
        await device.register()
        await device.list_one_camera(CAMERA)
        await until(lambda: room.service.device(DEVICE).catalogue.state is CatalogueState.COMPLETE)
        yield room, device


def say(device: ScriptedDevice, method: str, body: str, number: int, *more: str, call: str = "own") -> None:
    lines = [
        f"{method} sip:{PLATFORM}@{DOMAIN} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bK{method}{number}",
        f"From: <sip:{DEVICE}@{DOMAIN}>;tag=own",
        f"To: <sip:{PLATFORM}@{DOMAIN}>",
        f"Call-ID: {call}{number}",
        f"CSeq: {number} {method}",
        "Content-Type: Application/MANSCDP+xml",
        *more,
    ]
    device.send("\n".join(lines), body)


def alarm(sn: int, time: str = "2026-05-01T08:00:00", type_: int = 2) -> str:
    return (
        f"<Notify><CmdType>Alarm</CmdType><SN>{sn}</SN><DeviceID>{CAMERA}</DeviceID>"
        f"<AlarmPriority>2</AlarmPriority><AlarmMethod>5</AlarmMethod><AlarmTime>{time}</AlarmTime>"
        f"<Info><AlarmType>{type_}</AlarmType></Info></Notify>"
    )


async def test_alarm_is_kept_answered_and_told(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        say(device, "MESSAGE", alarm(7), 30)
        await device.receive("SIP/2.0 200", holding="Call-ID: own30")
        answer = await device.receive("MESSAGE", holding="<CmdType>Alarm</CmdType>")
        assert "<SN>7</SN>" in answer
        assert "<Result>OK</Result>" in answer
        assert f"<DeviceID>{CAMERA}</DeviceID>" in answer
        device.reply(answer, "200 OK")
        [kept] = await room.service.events.alarms.list()
        assert (kept.channel_id, kept.code, kept.priority, kept.state) == (
            CHANNEL,
            AlarmCode.MOTION,
            2,
            AlarmState.OPEN,
        )
        assert kept.device_time is not None
        assert kept.device_time.utcoffset() == timedelta(0)


async def test_alarm_sent_again_is_one_line_that_counts(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        book = room.service.events.alarms
        for number, sn in enumerate((7, 8, 9), 40):
            say(device, "MESSAGE", alarm(sn), number)
            device.reply(await device.receive("MESSAGE", holding=f"<SN>{sn}</SN>"), "200 OK")
        say(device, "MESSAGE", alarm(10, "2026-05-01T08:00:05"), 50)
        device.reply(await device.receive("MESSAGE", holding="<SN>10</SN>"), "200 OK")
        assert [one.repeats for one in await book.list()] == [0, 2]
        assert await book.count_open() == 2


async def test_alarms_are_paged_filtered_and_acknowledged_once(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        book = room.service.events.alarms
        for sn in range(1, 6):
            say(device, "MESSAGE", alarm(sn, f"2026-05-01T08:00:0{sn}", type_=sn), 60 + sn)
            device.reply(await device.receive("MESSAGE", holding=f"<SN>{sn}</SN>"), "200 OK")
        first = await book.list(limit=3)
        rest = await book.list(before=first[-1].received_at, after_id=first[-1].id)
        assert [one.type for one in (*first, *rest)] == [5, 4, 3, 2, 1]
        assert [one.type for one in await book.list(codes=[AlarmCode.TRIPWIRE])] == [5]
        done = await book.acknowledge(first[0].id, "operator", "a cat")
        assert (done.state, done.acknowledged_by, done.note) == (AlarmState.ACKNOWLEDGED, "operator", "a cat")
        with pytest.raises(AlarmAcknowledged):
            await book.acknowledge(first[0].id, "another", "")
        with pytest.raises(AlarmUnknown):
            await book.acknowledge("none", "another", "")
        assert await book.count_open() == 4


async def test_alarms_are_there_after_a_restart(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        say(device, "MESSAGE", alarm(7), 30)
        device.reply(await device.receive("MESSAGE", holding="<SN>7</SN>"), "200 OK")
        [before] = await room.service.events.alarms.list()
    async with open_room(tmp_path) as room:
        assert await room.service.events.alarms.list() == [before]


@pytest.mark.trap(26)
async def test_both_forms_of_a_position_are_kept_and_no_fix_is_none(tmp_path: Path) -> None:
    flat = (
        f"<Notify><CmdType>MobilePosition</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID>"
        "<Time>2026-05-01T08:00:00</Time><Longitude>117.21</Longitude><Latitude>31.83</Latitude>"
        "<Speed>40</Speed><Direction>90</Direction><Altitude>12</Altitude></Notify>"
    )
    listed = (
        f"<Notify><CmdType>MobilePosition</CmdType><SN>2</SN><DeviceID>{DEVICE}</DeviceID>"
        '<Time>2026-05-01T08:00:05</Time><SumNum>2</SumNum><DeviceList Num="2">'
        f"<Item><DeviceID>{CAMERA}</DeviceID><CaptureTime>2026-05-01T08:00:04</CaptureTime>"
        "<Longitude>117.22</Longitude><Latitude>31.84</Latitude></Item>"
        "<Item><DeviceID>34020000001320000002</DeviceID><Longitude>0</Longitude><Latitude>0</Latitude></Item>"
        "</DeviceList></Notify>"
    )
    async with joined(tmp_path) as (room, device):
        book = room.service.events.positions
        say(device, "MESSAGE", flat, 30)
        say(device, "MESSAGE", listed, 31)
        await until(lambda: len(book.latest()) == 2)
        told = {one.source_id: (one.longitude, one.latitude, one.speed_kmh) for one in book.latest()}
        assert told == {DEVICE: (117.21, 31.83, 40.0), CAMERA: (117.22, 31.84, None)}
        assert book.counters["position_without_fix"] == 1
        latest = next(one for one in book.latest() if one.source_id == CAMERA)
        span = timedelta(minutes=1)
        assert await book.track(DEVICE, CAMERA, latest.at - span, latest.at + span, 10) == [latest]


async def test_device_is_subscribed_to_notifies_and_is_asked_anew_after_it_registers_again(
    tmp_path: Path,
) -> None:
    async with joined(tmp_path, device_subscriptions="alarm", subscription_delay_s=1) as (room, device):
        asked = await device.receive("SUBSCRIBE")
        assert header(asked, "Event") == "Alarm"
        assert header(asked, "Expires") == "3600"
        assert "<CmdType>Alarm</CmdType>" in asked
        device.reply(asked, "200 OK", f"Contact: <sip:{DEVICE}@127.0.0.1:{device.port}>", "Expires: 3600")
        await until(lambda: status_of(room) is SubscriptionStatus.ACTIVE)
        call, ours = header(asked, "Call-ID"), header(asked, "From")
        notify = [
            f"NOTIFY sip:{PLATFORM}@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKnotify",
            f"From: {header(asked, 'To')};tag=camera",
            f"To: {ours}",
            f"Call-ID: {call}",
            "CSeq: 2 NOTIFY",
            "Event: Alarm",
            "Subscription-State: active;expires=3000",
            "Content-Type: Application/MANSCDP+xml",
        ]
        device.send("\n".join(notify), alarm(11))
        await device.receive("SIP/2.0 200", holding="CSeq: 2 NOTIFY")
        device.reply(await device.receive("MESSAGE", holding="<SN>11</SN>"), "200 OK")
        [line] = [one for one in room.service.subscriptions_of(DEVICE) if one.kind is SubscriptionKind.ALARM]
        assert (line.notices, line.wanted, line.answer) == (1, True, 200)
        assert len(await room.service.events.alarms.list()) == 1


async def test_catalogue_notice_changes_the_channel_it_names(tmp_path: Path) -> None:
    body = (
        f"<Notify><CmdType>Catalog</CmdType><SN>4</SN><DeviceID>{DEVICE}</DeviceID><SumNum>1</SumNum>"
        f'<DeviceList Num="1"><Item><DeviceID>{CAMERA}</DeviceID><Event>OFF</Event></Item></DeviceList>'
        "</Notify>"
    )
    async with joined(tmp_path) as (room, device):
        assert room.service.channel(CHANNEL).status is ChannelStatus.ON
        say(device, "NOTIFY", body, 70, "Event: Catalog;id=1", "Subscription-State: active")
        await device.receive("SIP/2.0 200", holding="Call-ID: own70")
        await until(lambda: room.service.channel(CHANNEL).status is ChannelStatus.OFF)


@pytest.mark.trap(27)
async def test_notice_outside_every_dialog_counts_from_a_registered_device_only(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        say(device, "NOTIFY", alarm(5), 70, "Event: presence", "Subscription-State: active")
        await device.receive("SIP/2.0 200", holding="Call-ID: own70")
        await until(lambda: room.service.events.alarms.counters["alarm"] == 1)
        async with ScriptedDevice(room.service.sip_port) as stranger:
            say(stranger, "NOTIFY", alarm(6), 71, "Event: presence", "Subscription-State: active")
            await stranger.receive("SIP/2.0 481")
        assert room.service.events.alarms.counters["alarm"] == 1


@pytest.mark.trap(27)
async def test_device_that_must_guard_first_is_told_to_before_it_is_subscribed_to(tmp_path: Path) -> None:
    async with joined(tmp_path, device_subscriptions="alarm", subscription_delay_s=1) as (room, device):
        await room.service.quirks.override(DEVICE, {"guard_first": "true"})
        guard = await device.receive("MESSAGE", holding="<GuardCmd>SetGuard</GuardCmd>")
        device.reply(guard, "200 OK")
        await device.receive("SUBSCRIBE", holding="Event: Alarm")


async def test_operator_says_which_subscriptions_a_device_gets(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        assert status_of(room) is SubscriptionStatus.OFF
        await room.service.want_subscription(DEVICE, SubscriptionKind.ALARM, True)
        asked = await device.receive("SUBSCRIBE")
        device.reply(asked, "489 Bad Event")
        await until(lambda: status_of(room) is SubscriptionStatus.REFUSED)
        await room.service.want_subscription(DEVICE, SubscriptionKind.ALARM, None)
        assert status_of(room) is SubscriptionStatus.OFF


async def test_alarm_prepares_the_stream_it_is_linked_to(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        linkages = room.service.events.linkages
        draft = LinkageDraft(
            name="gate",
            enabled=True,
            device_id=DEVICE,
            source_id=None,
            codes=(AlarmCode.MOTION,),
            priority_at_most=None,
            action=LinkageAction.PREPARE_STREAM,
            target_channel_id=CHANNEL,
            preset=None,
            dead_time_s=60,
        )
        await linkages.add(draft)
        say(device, "MESSAGE", alarm(7), 30)
        invite = await device.receive("INVITE")
        assert re.search(rf"^INVITE sip:{CAMERA}@", invite)
        device.reply(invite, "486 Busy Here")
        assert linkages.counters["linkage_fired"] == 1


async def test_alarm_calls_a_preset_and_an_impossible_linkage_is_refused(tmp_path: Path) -> None:
    async with joined(tmp_path) as (room, device):
        linkages = room.service.events.linkages
        draft = LinkageDraft(
            name="gate",
            enabled=True,
            device_id=None,
            source_id=None,
            codes=(),
            priority_at_most=None,
            action=LinkageAction.CALL_PRESET,
            target_channel_id=CHANNEL,
            preset=1,
            dead_time_s=0,
        )
        linkage = await linkages.add(draft)
        say(device, "MESSAGE", alarm(7), 30)
        command = await device.receive("MESSAGE", holding="<PTZCmd>")
        assert "<PTZCmd>A50F018200010038</PTZCmd>" in command
        device.reply(command, "200 OK")
        for field, value in (("preset", 0), ("target_channel_id", "nowhere")):
            with pytest.raises(LinkageInvalid) as refused:
                await linkages.change(linkage.id, _changed(draft, field, value))
            assert refused.value.params["field"] == field
    async with open_room(tmp_path) as room:
        assert room.service.events.linkages.list() == (linkage,)


def _changed(draft: LinkageDraft, field: str, value: object) -> LinkageDraft:
    return replace(draft, **{field: value})  # type: ignore[arg-type]


def status_of(room: Room) -> SubscriptionStatus:
    lines = {one.kind: one.status for one in room.service.subscriptions_of(DEVICE)}
    return lines[SubscriptionKind.ALARM]


async def test_alarm_is_not_answered_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined(tmp_path) as (room, device):

        def full(*_: object) -> None:
            raise StorageUnavailable("disk full")

        monkeypatch.setattr(store, "add_alarms", full)
        say(device, "MESSAGE", alarm(7), 30)
        await until(lambda: room.service.events.alarms.counters["alarm_unwritten"] == 1)
        monkeypatch.undo()
        say(device, "MESSAGE", alarm(7), 31)
        answer = await device.receive("MESSAGE", holding="<CmdType>Alarm</CmdType>")
        device.reply(answer, "200 OK")
        assert [one.repeats for one in await room.service.events.alarms.list()] == [0]
