"""ONVIF devices as sources: described, watched, steered, heard; right and wrong passwords and clocks."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from commonview.foundation.clock import SystemClock
from commonview.network import DeviceOrigin, PresenceReason
from commonview.network.events.model import AlarmCode
from commonview.network.sources import (
    Source,
    SourceAlarm,
    SourceAlarmKind,
    SourceFailed,
    SourceKind,
    SourceOutcome,
)
from commonview.network.sources.exchange import Credentials
from commonview.network.sources.onvif import OnvifClient, OnvifPtz
from commonview.network.sources.onvif.discovery import PORT, _Listener, read_match
from commonview.network.sources.onvif.soap import Fault, open_envelope, password_digest, security_header
from commonview.network.sources.onvif.xml import XmlRefused, read
from commonview.simulator.onvif import OnvifCameraSettings, SimulatedOnvifCamera
from tests.network.harness import Room, open_room, until
from tests.waiting import answered

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"),)
RTSP = "rtsp://127.0.0.1:5554/live"
WHO = Credentials("admin", "open sesame")


def camera(**more: object) -> SimulatedOnvifCamera:
    return SimulatedOnvifCamera(OnvifCameraSettings(RTSP, **more))  # type: ignore[arg-type]


def client_of(device: SimulatedOnvifCamera, who: Credentials = WHO) -> OnvifClient:
    return OnvifClient(device.url, who, LOOPBACK, SystemClock())


async def add(room: Room, device: SimulatedOnvifCamera, password: str = WHO.password) -> Source:
    return await room.service.sources.add(
        SourceKind.ONVIF, "gate", url=device.url, username="admin", password=password
    )


def test_the_password_digest_is_that_of_the_programmers_guide() -> None:
    nonce = b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    digest = password_digest(nonce, "2010-09-16T07:50:45Z", "userpassword")
    assert digest == "tuOSpGlFlIXsozq4HFNeeGeFLEI="
    header = security_header(WHO, datetime(2026, 1, 1, 12, tzinfo=UTC), nonce)
    assert "open sesame" not in header
    assert "<wsu:Created>2026-01-01T12:00:00.000Z</wsu:Created>" in header


@pytest.mark.parametrize("generations", [(1,), (1, 2)])
async def test_profiles_become_channels_with_main_and_sub_streams(generations: tuple[int, ...]) -> None:
    async with camera(generations=generations, video_sources=2) as device:
        channels = await client_of(device).channels()
        assert [channel.video_source for channel in channels] == ["source_1", "source_2"]
        sizes = [(profile.number, profile.width, profile.codec) for profile in channels[0].profiles]
        assert sizes == [(0, 1920, "h264"), (1, 640, "h264")]
        assert all(profile.url == RTSP for profile in channels[0].profiles)
        assert channels[0].has_ptz
        assert (await client_of(device).snapshot(channels[0].snapshot_url)).startswith(b"\xff\xd8")


async def test_an_older_device_tells_its_services_as_capabilities() -> None:
    async with camera(has_services=False, generations=(1,)) as device:
        assert len(await client_of(device).channels()) == 1
        assert "GetCapabilities" in device.asked


async def test_a_device_whose_clock_is_wrong_is_spoken_to_by_its_own_time() -> None:
    async with camera(clock_offset_s=-86_400 * 400) as device:
        assert (await client_of(device).information()).manufacturer == "Commonview"


async def test_a_wrong_password_is_told_from_everything_else() -> None:
    async with camera() as device:
        with pytest.raises(SourceFailed) as refused:
            await client_of(device, Credentials("admin", "guess")).information()
        assert refused.value.outcome is SourceOutcome.UNAUTHORISED
        assert "guess" not in refused.value.message


async def test_addresses_a_device_names_are_not_believed() -> None:
    async with camera(told_host="169.254.169.254") as device:
        channels = await client_of(device).channels()
        assert channels[0].profiles[0].url == RTSP
        assert channels[0].snapshot_url == f"http://127.0.0.1:{device.port}/snapshot"


async def test_a_camera_is_steered_and_keeps_presets() -> None:
    async with camera() as device:
        client = client_of(device)
        (channel,) = await client.channels()
        ptz = OnvifPtz(client, channel.ptz_profile)
        await ptz.move(0.5, -2.0, float("nan"))
        assert device.steering.velocity == (0.5, -1.0, 0.0)
        await ptz.stop()
        assert device.steering.velocity == (0.0, 0.0, 0.0)
        await ptz.go_to(0.25, 0.5, 1.0)
        token = await ptz.set_preset("gate & door")
        await ptz.home()
        assert await ptz.position() == (0.0, 0.0, 0.0)
        assert [(preset.token, preset.name) for preset in await ptz.presets()] == [(token, "gate & door")]
        await ptz.go_to_preset(token)
        assert await ptz.position() == (0.25, 0.5, 1.0)
        await ptz.remove_preset(token)
        with pytest.raises(SourceFailed) as gone:
            await ptz.go_to_preset(token)
        assert gone.value.outcome is SourceOutcome.FAULT


async def test_an_onvif_source_joins_with_what_it_says_of_itself(tmp_path: Path) -> None:
    async with open_room(tmp_path, source_check_s=1) as room, camera(video_sources=2) as device:
        source = await add(room, device)
        record = room.service.device(source.id)
        assert (record.origin, record.manufacturer, record.model) == (
            DeviceOrigin.ONVIF,
            "Commonview",
            "Simulated",
        )
        await until(lambda: room.service.device(source.id).online)
        session = await room.service.start_live(
            f"{source.id}-{source.channels[1].gb_id}", access_id="a", stream_number=1
        )
        await until(lambda: room.node.asked)
        assert room.node.asked == [(session.id, RTSP, "tcp", "127.0.0.1")]
        ptz = room.service.sources.steer(f"{source.id}-{source.channels[0].gb_id}")
        assert ptz is not None
        await ptz.move(1.0, 0.0, 0.0)
        assert device.steering.velocity == (1.0, 0.0, 0.0)


async def test_a_source_that_cannot_be_asked_is_not_added(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, camera() as device:
        with pytest.raises(SourceFailed):
            await add(room, device, password="wrong")
        assert room.service.sources.list() == ()
        assert room.service.devices() == ()


async def test_a_password_changed_on_the_device_shows_in_its_presence(tmp_path: Path) -> None:
    async with open_room(tmp_path, source_check_s=1) as room, camera() as device:
        source = await add(room, device)
        await until(lambda: room.service.device(source.id).online)
        await room.service.sources.update(source.id, password="old one")
        await until(lambda: room.service.device(source.id).reason is PresenceReason.SOURCE_UNAUTHORISED)


async def test_a_refresh_keeps_the_ids_of_pictures_that_stay(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, camera() as device:
        source = await add(room, device)
        device.settings = OnvifCameraSettings(RTSP, video_sources=2)
        await room.service.refresh_catalogue(source.id)
        changed = room.service.sources.get(source.id)
        assert len(changed.channels) == 2
        assert changed.channels[0].gb_id == source.channels[0].gb_id
        (branch,) = room.service.tree()
        assert len(branch.channels) == 2


async def test_events_become_alarms_of_the_channel_and_others_are_not_taken(tmp_path: Path) -> None:
    heard: list[SourceAlarm] = []
    async with open_room(tmp_path) as room, camera() as device:
        room.service.sources.onvif.on_alarm = heard.append
        source = await add(room, device)
        await until(lambda: "PullMessages" in device.asked)
        device.say("tns1:RuleEngine/FaceDetector/Face", active=True)
        device.say("tns1:VideoSource/MotionAlarm", active=True)
        device.say("tns1:VideoSource/MotionAlarm", active=False)
        await until(lambda: len(heard) == 2)
        assert [(alarm.kind, alarm.active) for alarm in heard] == [
            (SourceAlarmKind.MOTION, True),
            (SourceAlarmKind.MOTION, False),
        ]
        assert heard[0].gb_id == source.channels[0].gb_id


async def test_the_beginning_of_an_event_is_an_alarm_in_the_list_of_alarms(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, camera() as device:
        source = await add(room, device)
        await until(lambda: "PullMessages" in device.asked)
        device.say("tns1:VideoSource/SignalLoss", active=True)
        device.say("tns1:VideoSource/SignalLoss", active=False)
        await until(lambda: room.service.sources.onvif.counters["events"] == 2)
        alarms = await answered(room.service.events.alarms.list)
        assert [alarm.code for alarm in alarms] == [AlarmCode.VIDEO_LOST]
        assert alarms[0].channel_id == f"{source.id}-{source.channels[0].gb_id}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a>" * 40 + b"</a>" * 40,
        b"<r>" + b"<a/>" * 20_001 + b"</r>",
        b"<a " + b" ".join(b'b%d="c"' % number for number in range(257)) + b"/>",
        b"<a>" + b"x" * 70_000 + b"</a>",
        b"<a>" + b" " * 1_100_000 + b"</a>",
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
    ],
)
def test_xml_beyond_the_bounds_is_refused(body: bytes) -> None:
    with pytest.raises(XmlRefused):
        read(body)


def test_prefixes_that_are_not_declared_do_no_harm() -> None:
    node = read(b'<s:a xmlns:s="x"><ptz:b tt:token="t">1</ptz:b></s:a>')
    assert (node.value("b"), node.children[0].attributes) == ("1", {"token": "t"})


def test_faults_are_told_by_their_innermost_code() -> None:
    message = (
        b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><e:Fault><e:Code><e:Value>'
        b"e:Sender</e:Value><e:Subcode><e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code><e:Reason>"
        b'<e:Text xml:lang="en">no\x09way</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>'
    )
    with pytest.raises(Fault) as fault:
        open_envelope(message)
    assert (fault.value.code, fault.value.reason) == ("NotAuthorized", "noway")


MATCH = (
    b'<s:Envelope xmlns:s="x" xmlns:a="y" xmlns:d="z"><s:Header><a:RelatesTo>uuid:1</a:RelatesTo></s:Header>'
    b"<s:Body>"
    b"<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:9</a:Address>"
    b"</a:EndpointReference>"
    b"<d:Scopes>onvif://www.onvif.org/name/North%20Gate onvif://www.onvif.org/hardware/X1</d:Scopes>"
    b"<d:XAddrs>https://10.0.0.9/x http://169.254.169.254:8080/onvif/device_service</d:XAddrs>"
    b"</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
)


def test_an_answer_to_a_probe_is_put_at_the_address_it_came_from() -> None:
    found = read_match(MATCH, "10.0.0.9", "uuid:1")
    assert found is not None
    assert (found.url, found.name, found.hardware) == (
        "http://10.0.0.9:8080/onvif/device_service",
        "North Gate",
        "X1",
    )
    assert read_match(MATCH, "10.0.0.9", "uuid:2") is None
    assert read_match(b"noise", "10.0.0.9", "uuid:1") is None


def test_answers_from_elsewhere_are_ignored_and_counted() -> None:
    listener = _Listener("uuid:1", LOOPBACK)
    listener.datagram_received(MATCH, ("10.0.0.9", PORT))
    listener.datagram_received(MATCH, ("127.0.0.1", PORT))
    assert (len(listener.found), listener.ignored) == (1, 1)
