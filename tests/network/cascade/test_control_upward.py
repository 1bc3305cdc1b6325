"""What a superior asks and commands reaches the camera; what devices report reaches the superior."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commonview.network.control import orders
from commonview.network.directory import DeviceRecord
from commonview.network.events.model import DeviceAlarm, SubscriptionKind, SubscriptionStatus
from commonview.network.exchange import PeerRefused
from commonview.network.user_identity import HEADER
from commonview.security import SharedAction
from commonview.simulator import SimulatedCamera
from commonview.wire.manscdp import (
    Boot,
    ConfigDownload,
    ConfigDownloadQuery,
    ConfigType,
    DeviceControl,
    DeviceControlResult,
    DeviceStatus,
    DeviceStatusQuery,
    HomePosition,
    Keepalive,
    Message,
    PresetList,
    PresetQuery,
    PtzCmd,
    PtzPositionQuery,
    SDCardStatus,
    SDCardStatusQuery,
    TeleBoot,
    encode,
)
from commonview.wire.ptz import PresetAction, PresetCommand, write_ptz
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.version import GbVersion
from tests.network.cascade.platforms import (
    LOWER,
    UPPER,
    MemoryBook,
    a_platform,
    camera_known,
    listed,
    register,
    told,
)
from tests.network.harness import Room, until
from tests.network.scripted import ScriptedDevice
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio

CAMERA = "34020000001320000001"
LOOK = orders.PreciseMove(pan=33.0, tilt=4.0, zoom=1.0)
CONTROL = frozenset({SharedAction.CONTROL, SharedAction.LIVE})


@dataclass
class Pair:
    """An upper platform over a lower one with a camera that can be steered."""

    upper: Room
    lower: Room
    camera: SimulatedCamera
    book: MemoryBook

    @property
    def below(self) -> DeviceRecord:
        record = self.upper.service._directory.get(LOWER)
        assert record is not None
        return record

    async def command(self, command: PtzCmd | HomePosition | TeleBoot, gb_id: str = CAMERA) -> int:
        exchange = self.upper.service.exchange
        message = DeviceControl(sn=exchange.next_sn(), device_id=gb_id, command=command)
        return (await exchange.send(self.below, message)).status


@asynccontextmanager
async def pair(
    folder: Path, actions: frozenset[SharedAction] = CONTROL, *, edition: GbVersion = GbVersion.V2022
) -> AsyncIterator[Pair]:
    async with (
        a_platform(folder / "upper") as upper,
        a_platform(folder / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(replace(lower.camera_settings(), version=edition)) as camera,
        camera_known(lower),
    ):
        book = MemoryBook()
        superior = await register(lower, upper, book, share=False)
        book.share(superior.id, actions=actions)
        await lower.service.cascade.look_again()
        assert list(await listed(upper)) == [CAMERA]
        yield Pair(upper, lower, camera, book)


async def test_superior_turns_the_camera_and_one_steering_is_one_line_in_the_books(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        now = asyncio.get_running_loop().time
        before = two.camera.controls.look(CAMERA, now())
        for _ in range(3):
            assert await two.command(PtzCmd(code="A50F01023F0000F6")) == 200
        await until(lambda: two.camera.controls.look(CAMERA, now()) != before)
        await until(lambda: [one[1:] for one in two.book.used] == [("camera.control", CHANNEL, "ok")])


CHANNEL = f"34020000001110000001-{CAMERA}"


async def test_presets_are_listed_under_the_superiors_own_number(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        await two.command(PtzCmd(code=write_ptz(PresetCommand(PresetAction.SET, 7))))
        exchange = two.upper.service.exchange
        query = PresetQuery(sn=exchange.next_sn(), device_id=CAMERA)
        reply = await exchange.ask(two.below, query, expect=PresetList)
        (answer,) = reply.messages
        assert isinstance(answer, PresetList)
        assert (answer.sn, answer.device_id) == (query.sn, CAMERA)
        assert "7" in [one.preset_id for one in answer.presets]


async def test_configuration_and_memory_cards_are_told_but_not_where_snapshots_go(tmp_path: Path) -> None:
    """ConfigDownload in several answers with one SN (A.2.4.8), SDCardStatus (A.2.4.14)."""
    async with pair(tmp_path, CONTROL | {SharedAction.RECORDING}) as two:
        ask = two.upper.service.exchange.ask
        types = (ConfigType.BASIC_PARAM, ConfigType.FRAME_MIRROR, ConfigType.SNAP_SHOT_CONFIG)
        query = ConfigDownloadQuery(sn=next_sn(two), device_id=CAMERA, config_types=types)
        reply = await ask(
            two.below,
            query,
            expect=ConfigDownload,
            items=lambda page: [(one.config_type.value, one) for one in page.blocks],
            promised=lambda _page: 2,
        )
        assert set(reply.items) == {"BasicParam", "FrameMirror"}
        assert {(one.sn, one.device_id) for one in reply.messages} == {(query.sn, CAMERA)}
        only = replace(query, sn=next_sn(two), config_types=types[2:])
        (answer,) = (await ask(two.below, only, expect=ConfigDownload)).messages
        assert isinstance(answer, ConfigDownload)
        assert answer.failed
        cards = SDCardStatusQuery(sn=next_sn(two), device_id=CAMERA)
        (answer,) = (await ask(two.below, cards, expect=SDCardStatus)).messages
        assert isinstance(answer, SDCardStatus)
        assert (answer.sn, answer.device_id, len(answer.items)) == (cards.sn, CAMERA, answer.sum_num)
        assert answer.items


@pytest.mark.parametrize("kind", [ConfigDownloadQuery, SDCardStatusQuery])
async def test_what_a_question_tells_must_be_shared(tmp_path: Path, kind: type[Message]) -> None:
    async with pair(tmp_path, frozenset({SharedAction.LIVE})) as two:
        more = {"config_types": (ConfigType.BASIC_PARAM,)} if kind is ConfigDownloadQuery else {}
        query = kind(sn=next_sn(two), device_id=CAMERA, **more)  # type: ignore[arg-type]
        with pytest.raises(PeerRefused) as refused:
            await two.upper.service.exchange.send(two.below, query)
        assert refused.value.status == 403


def next_sn(two: Pair) -> int:
    return two.upper.service.exchange.next_sn()


async def test_business_answer_of_the_camera_comes_back(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        exchange = two.upper.service.exchange
        await two.command(PtzCmd(code=write_ptz(PresetCommand(PresetAction.SET, 1))))
        home = HomePosition(enabled=True, reset_time_s=10, preset_index=1)
        message = DeviceControl(sn=exchange.next_sn(), device_id=CAMERA, command=home)
        reply = await exchange.ask(two.below, message, expect=DeviceControlResult)
        (answer,) = reply.messages
        assert isinstance(answer, DeviceControlResult)
        assert (answer.sn, answer.device_id, answer.ok) == (message.sn, CAMERA, True)


async def test_the_user_who_steers_is_named_in_the_books(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        order = DeviceControl(sn=next_sn(two), device_id=CAMERA, command=PtzCmd(code="A50F01023F0000F6"))
        named = f"{UPPER}-34020000003000000009-officer"
        await two.upper.service.exchange.send(two.below, order, headers=((HEADER, named),))
        await until(lambda: [one[0].user for one in two.book.used] == [named])


async def test_what_belongs_to_the_device_is_refused_and_noted(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        with pytest.raises(PeerRefused) as refused:
            await two.command(TeleBoot(word=Boot.BOOT))
        assert refused.value.status == 403
        await until(lambda: [one[3] for one in two.book.used] == ["denied"])


async def test_steering_needs_a_sharing_with_control(tmp_path: Path) -> None:
    async with pair(tmp_path, frozenset({SharedAction.LIVE})) as two:
        with pytest.raises(PeerRefused) as refused:
            await two.command(PtzCmd(code="A50F01023F0000F6"))
        assert refused.value.status == 403


async def test_state_of_a_channel_that_is_not_shared_is_not_told(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        exchange = two.upper.service.exchange
        for gb_id, online in ((CAMERA, "ONLINE"), ("34020000001320000099", "OFFLINE")):
            query = DeviceStatusQuery(sn=exchange.next_sn(), device_id=gb_id)
            (answer,) = (await exchange.ask(two.below, query, expect=DeviceStatus)).messages
            assert isinstance(answer, DeviceStatus)
            assert answer.online == online


@pytest.mark.trap(29)
async def test_keepalive_of_a_superior_is_answered(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        flow = two.below.flow
        assert flow is not None
        headers = Headers(
            (
                ("From", f"<sip:{UPPER}@3402000000>"),
                ("To", f"<sip:{LOWER}@3402010000>"),
                ("Content-Type", "Application/MANSCDP+xml"),
            )
        )
        body = encode(Keepalive(sn=1, device_id=UPPER))
        request = SipRequest("MESSAGE", f"sip:{LOWER}@127.0.0.1:{flow.peer[1]}", headers, body)
        answer = await two.upper.service.endpoint.request(request, flow, timeout_s=PATIENCE_S)
        assert answer.status == 200


@pytest.mark.parametrize("subscribed", ["alarm,mobile_position", "mobile_position"])
async def test_alarms_and_positions_of_shared_cameras_go_up(tmp_path: Path, subscribed: str) -> None:
    async with (
        a_platform(tmp_path / "upper", device_subscriptions=subscribed, subscription_delay_s=0) as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        ScriptedDevice(lower.service.sip_port) as device,
    ):
        await device.register()
        await device.list_one_camera(CAMERA)
        superior = await register(lower, upper, MemoryBook())
        await listed(upper)
        kinds = tuple(sorted(subscribed.split(",")))
        await until(lambda: lower.service.cascade.superior(superior.id)[1].subscriptions == kinds)
        say(device, 30, ALARM)
        (alarm,) = await upper_alarms(upper)
        assert (alarm.device_id, alarm.source_id, alarm.method, alarm.type) == (LOWER, CAMERA, 5, 2)
        say(device, 31, POSITION)
        await until(lambda: upper.service.events.positions.latest())
        (position,) = upper.service.events.positions.latest()
        assert (position.source_id, position.longitude, position.latitude) == (CAMERA, 116.4, 39.9)
        assert [one.gb_id for one in told(upper)] == [CAMERA]
        if "alarm" not in subscribed:
            await until(lambda: lower.service.cascade.notices.counters["alarm_answered"] == 1)


async def ask_where_it_looks(two: Pair, gb_id: str) -> tuple[SipResponse, Dialog | None]:
    flow = two.below.flow
    assert flow is not None
    headers = Headers(
        (
            ("From", f"<sip:{UPPER}@3402000000>"),
            ("To", f"<sip:{LOWER}@3402010000>"),
            ("Content-Type", "Application/MANSCDP+xml"),
            ("Event", "presence"),
            ("Expires", "600"),
        )
    )
    body = encode(PtzPositionQuery(sn=1, device_id=gb_id))
    request = SipRequest("SUBSCRIBE", f"sip:{LOWER}@127.0.0.1:{flow.peer[1]}", headers, body)
    return await two.upper.service.endpoint.subscribe(request, flow, timeout_s=PATIENCE_S)


async def test_where_a_dome_looks_is_asked_below_for_as_long_as_a_superior_wants_it(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        below = two.lower.service
        (record,) = below._directory.records()

        def status() -> SubscriptionStatus:
            kinds = {one.kind: one.status for one in below.subscriptions_of(record.id)}
            return kinds[SubscriptionKind.PTZ_POSITION]

        assert status() is SubscriptionStatus.OFF
        answer, dialog = await ask_where_it_looks(two, CAMERA)
        assert answer.status == 200
        assert dialog is not None
        await until(lambda: status() is SubscriptionStatus.ACTIVE)
        await below.control.order(below.control.channel(f"{record.id}-{CAMERA}"), LOOK, "operator")
        await until(lambda: below.cascade.notices.counters["ptz_positions"] > 0)
        looks = two.upper.service.events.positions
        await until(lambda: (look := looks.look(LOWER, CAMERA)) is not None and look.pan == 33.0)
        over = dialog.new_request("SUBSCRIBE", (("Event", "presence"), ("Expires", "0")), b"")
        assert two.below.flow is not None
        await two.upper.service.endpoint.request(over, two.below.flow, timeout_s=PATIENCE_S)
        await until(lambda: status() is SubscriptionStatus.OFF)


async def test_where_a_dome_looks_is_not_for_who_may_not_steer_it(tmp_path: Path) -> None:
    async with pair(tmp_path, actions=frozenset({SharedAction.LIVE})) as two:
        answer, dialog = await ask_where_it_looks(two, CAMERA)
        assert (answer.status, dialog) == (403, None)
        answer, dialog = await ask_where_it_looks(two, "34020000001320000099")
        assert (answer.status, dialog) == (404, None)


async def test_where_a_dome_looks_is_not_promised_for_a_camera_that_cannot_tell(tmp_path: Path) -> None:
    """The message is of 2022; a subscription that no notice ever follows would be a lie."""
    async with pair(tmp_path, edition=GbVersion.V2016) as two:
        answer, dialog = await ask_where_it_looks(two, CAMERA)
        assert (answer.status, dialog) == (501, None)


async def upper_alarms(upper: Room) -> list[DeviceAlarm]:
    """The alarms of the upper platform once there are some."""
    async with asyncio.timeout(10):
        while not (found := await upper.service.events.alarms.list()):
            await asyncio.sleep(0.02)
    return found


def say(device: ScriptedDevice, number: int, body: str) -> None:
    device.send(
        f"MESSAGE sip:{LOWER}@3402000000 SIP/2.0\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKsay{number}\n"
        f"From: <sip:34020000001110000001@3402000000>;tag=say{number}\nTo: <sip:{LOWER}@3402000000>\n"
        f"Call-ID: say{number}\nCSeq: {number} MESSAGE\nContent-Type: Application/MANSCDP+xml",
        body,
    )


_NOW = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")
ALARM = (
    f"<?xml version='1.0'?><Notify><CmdType>Alarm</CmdType><SN>7</SN><DeviceID>{CAMERA}</DeviceID>"
    f"<AlarmPriority>1</AlarmPriority><AlarmMethod>5</AlarmMethod><AlarmTime>{_NOW}</AlarmTime>"
    "<Info><AlarmType>2</AlarmType></Info></Notify>"
)
POSITION = (
    f"<?xml version='1.0'?><Notify><CmdType>MobilePosition</CmdType><SN>8</SN><DeviceID>{CAMERA}</DeviceID>"
    f"<Time>{_NOW}</Time><Longitude>116.4</Longitude><Latitude>39.9</Latitude><Speed>3</Speed></Notify>"
)
