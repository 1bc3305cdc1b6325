"""The bytes themselves, between the running service and a device made of one socket."""

import os
import re
from pathlib import Path

import pytest

from commonview.network import FailureCode, SessionState, Step
from tests.network.harness import DEVICE, Room, open_room, until
from tests.network.scripted import DOMAIN, PLATFORM, ScriptedDevice, header

pytestmark = pytest.mark.anyio

TORTURE = (
    Path(os.environ.get("COMMONVIEW_TEST_MATERIAL", Path(__file__).parents[3] / "shared")) / "sip_torture"
)
CAMERA = "34020000001320000001"
SDP = (
    "v=0\no=34020000001320000001 0 0 IN IP4 127.0.0.1\ns=Play\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 9000 RTP/AVP 96\na=sendonly\na=rtpmap:96 PS/90000\n"
)


def steps(room: Room, session_id: str) -> list[Step]:
    return [one.step for one in room.service.session(session_id).timeline]


async def test_registration_is_the_golden_exchange(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        device.send(device.register_text(1))
        challenge = await device.receive("SIP/2.0 401")
        assert re.fullmatch(
            "SIP/2.0 401 Unauthorized\r\n"
            rf"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport={device.port};received=127.0.0.1;"
            "branch=z9hG4bKgolden1\r\n"
            rf"From: <sip:{DEVICE}@{DOMAIN}>;tag=golden\r\n"
            rf"To: <sip:{DEVICE}@{DOMAIN}>;tag=[0-9a-zA-Z]+\r\n"
            "Call-ID: golden@camera\r\n"
            "CSeq: 1 REGISTER\r\n"
            rf'WWW-Authenticate: Digest realm="{DOMAIN}", nonce="[A-Za-z0-9_=-]+", algorithm=MD5\r\n'
            "X-GB-Ver: 3.0\r\n"
            "Content-Length: 0\r\n\r\n",
            challenge,
        ), challenge
        accepted = await device.register()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", header(accepted, "Date"))
        assert header(accepted, "X-GB-Ver") == "3.0"
        assert header(accepted, "Expires") == "3600"
        assert header(accepted, "Contact") == f"<sip:{DEVICE}@127.0.0.1:{device.port}>"


async def call(room: Room, device: ScriptedDevice) -> tuple[str, str]:
    """Register, list one camera, ask for it; returns the session and the INVITE."""
    await device.register()
    await device.list_one_camera(CAMERA)
    await until(lambda: room.service.tree()[0].channels)
    session = await room.service.start_live(f"{DEVICE}-{CAMERA}", access_id="v")
    return session.id, await device.receive("INVITE")


@pytest.mark.trap(36)
async def test_invite_is_the_golden_one(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        assert invite.startswith(f"INVITE sip:{CAMERA}@127.0.0.1:{device.port} SIP/2.0\r\n")
        assert header(invite, "Via").startswith(f"SIP/2.0/UDP 127.0.0.1:{room.service.sip_port};")
        assert header(invite, "From").startswith(f"<sip:{PLATFORM}@{DOMAIN}>;tag=")
        assert header(invite, "To") == f"<sip:{CAMERA}@127.0.0.1:{device.port}>"
        assert header(invite, "Contact") == f"<sip:{PLATFORM}@127.0.0.1:{room.service.sip_port}>"
        assert header(invite, "Content-Type") == "application/sdp"
        ssrc = f"{room.node.open[session_id][1]:010d}"
        assert header(invite, "Subject") == f"{CAMERA}:0000000000,{PLATFORM}:{ssrc}"
        assert invite.endswith(f"a=rtpmap:96 PS/90000\r\ny={ssrc}\r\n")


@pytest.mark.trap(33)
async def test_answer_without_a_to_tag_and_without_y_is_acknowledged_and_ended(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        device.reply(invite, "200 OK", "Content-Type: application/sdp", body=SDP, to_tag=False)
        ack = await device.receive("ACK")
        assert header(ack, "CSeq").endswith(" ACK")
        await until(lambda: Step.ANSWERED in steps(room, session_id))
        await room.service.leave("v")
        bye = await device.receive("BYE")
        assert header(bye, "Call-ID") == header(invite, "Call-ID")
        device.reply(bye, "200 OK", to_tag=False)
        await until(lambda: room.service.session(session_id).state is SessionState.ENDED)


async def test_repeated_answer_is_acknowledged_each_time(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        for _ in range(3):
            device.reply(invite, "200 OK", "Content-Type: application/sdp", body=SDP)
            await device.receive("ACK")
        assert steps(room, session_id).count(Step.ANSWERED) == 1


async def test_bye_that_comes_before_any_media_ends_the_session(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        device.reply(invite, "200 OK", "Content-Type: application/sdp", body=SDP)
        await device.receive("ACK")
        device.send(
            f"BYE sip:{PLATFORM}@127.0.0.1 SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKbye\n"
            f"From: {header(invite, 'To')};tag=camera\nTo: {header(invite, 'From')}\n"
            f"Call-ID: {header(invite, 'Call-ID')}\nCSeq: 1 BYE"
        )
        await device.receive("SIP/2.0 200", holding="CSeq: 1 BYE")
        await until(lambda: room.service.session(session_id).state is SessionState.FAILED)
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert failure.code is FailureCode.DEVICE_ENDED


async def test_viewer_who_gives_up_before_the_answer_cancels_and_a_late_answer_is_ended(
    tmp_path: Path,
) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        device.reply(invite, "100 Trying", to_tag=False)
        await until(lambda: Step.TRYING in steps(room, session_id))
        await room.service.leave("v")
        cancel = await device.receive("CANCEL")
        assert header(cancel, "Call-ID") == header(invite, "Call-ID")
        device.reply(cancel, "200 OK")
        device.reply(invite, "200 OK", "Content-Type: application/sdp", body=SDP)
        await device.receive("ACK")
        await device.receive("BYE")


async def test_answer_without_media_is_acknowledged_and_ended_and_says_why(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        body = SDP.replace("m=video 9000", "m=video 0")
        device.reply(invite, "200 OK", "Content-Type: application/sdp", body=body)
        await device.receive("ACK")
        await device.receive("BYE")
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert (failure.code, failure.params) == (FailureCode.SDP_UNUSABLE, {"why": "media_refused"})


async def test_device_that_hangs_up_on_the_heels_of_its_answer_is_understood(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        # Both lie in the socket before the server looks.
        device.reply(invite, "200 OK", "Content-Type: application/sdp", body=SDP)
        device.send(
            f"BYE sip:{PLATFORM}@{DOMAIN} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKheels\n"
            f"From: {header(invite, 'To')};tag=camera\nTo: {header(invite, 'From')}\n"
            f"Call-ID: {header(invite, 'Call-ID')}\nCSeq: 2 BYE\nMax-Forwards: 70"
        )
        await device.receive("SIP/2.0 200", holding="CSeq: 2 BYE")
        await device.receive("ACK")
        await until(lambda: room.service.session(session_id).failure is not None)
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert failure.code is FailureCode.DEVICE_ENDED


async def test_refusal_in_a_chinese_charset_can_be_shown(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        copied = "".join(f"{name}: {header(invite, name)}\r\n" for name in names).encode()
        refusal = b"SIP/2.0 486 " + "通道忙".encode("gbk") + b"\r\n" + copied
        device.send_bytes(refusal + b"Content-Length: 0\r\n\r\n")
        await device.receive("ACK")
        await until(lambda: room.service.session(session_id).failure is not None)
        failure = room.service.session(session_id).failure
        assert failure is not None
        assert failure.params == {"status": 486, "reason": "通道忙"}


async def test_call_that_was_given_up_is_forgotten(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, _ = await call(room, device)
        await room.service.leave("v")
        await until(lambda: room.service.session(session_id).ended_at is not None)
        await until(lambda: not room.service._calls._by_id)


async def test_call_from_a_stranger_is_answered_once_and_not_remembered(tmp_path: Path) -> None:
    # Whoever writes a false sender address must not have us repeat our refusal to it for half a minute.
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        device.send(
            f"INVITE sip:{PLATFORM}@{DOMAIN} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKstranger\n"
            f"From: <sip:{DEVICE}@{DOMAIN}>;tag=odd\nTo: <sip:{PLATFORM}@{DOMAIN}>\n"
            f"Call-ID: odd\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:{DEVICE}@127.0.0.1>"
        )
        await device.receive("SIP/2.0 488")
        assert room.service.endpoint.counters.sent == 1
        assert room.service.endpoint.sizes()["invites"] == 0


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("OPTIONS", "200"),
        ("INVITE", "488"),
        ("NOTIFY", "481"),
        ("SUBSCRIBE", "403"),
        ("INFO", "481"),
        ("PUBLISH", "405"),
        ("BYE", "481"),
    ],
)
async def test_requests_we_have_no_use_for_get_their_proper_answer(
    tmp_path: Path, method: str, status: str
) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        device.send(
            f"{method} sip:{PLATFORM}@{DOMAIN} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{device.port};rport;branch=z9hG4bKodd\n"
            f"From: <sip:{DEVICE}@{DOMAIN}>;tag=odd\nTo: <sip:{PLATFORM}@{DOMAIN}>\n"
            f"Call-ID: odd\nCSeq: 1 {method}\nMax-Forwards: 70\nContact: <sip:{DEVICE}@127.0.0.1>"
        )
        answer = await device.receive(f"SIP/2.0 {status}")
        if method in ("OPTIONS", "PUBLISH"):
            allowed = header(answer, "Allow")
            assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "MESSAGE"} <= set(allowed.split(", "))


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"no test material in {TORTURE}")
async def test_torture_messages_over_the_wire_disturb_nobody(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        files = sorted(TORTURE.glob("*.dat"))
        assert len(files) >= 49
        for file in files:
            device.send_bytes(file.read_bytes())
        await device.register()
        counters = room.service.endpoint.counters
        assert counters.events["internal error"] == 0
        assert counters.received >= len(files)
        assert [one.id for one in room.service.devices()] == [DEVICE]


@pytest.mark.trap(34)
async def test_answer_with_our_contact_and_a_device_id_for_y_is_understood_and_ended_at_the_device(
    tmp_path: Path,
) -> None:
    # Measured on Ellean/gb28181-camera-simulator.
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        ours = header(invite, "Contact")
        body = SDP + f"y={DEVICE}\n"
        device.reply(
            invite,
            "200 OK",
            f"Contact: {ours}",
            "Content-Type: application/sdp",
            body=body,
            to_tag=False,
        )
        await device.receive("ACK")
        await until(lambda: Step.ANSWERED in steps(room, session_id))
        answered = next(one for one in room.service.session(session_id).timeline if one.step is Step.ANSWERED)
        assert answered.params["ssrc_unusable"] == 1
        await room.service.leave("v")
        bye = await device.receive("BYE")
        assert header(bye, "Call-ID") == header(invite, "Call-ID")


@pytest.mark.trap(46)
async def test_busy_device_that_says_when_to_ask_again_is_asked_again(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room, ScriptedDevice(room.service.sip_port) as device:
        session_id, invite = await call(room, device)
        device.reply(invite, "486 Busy Here", "Retry-After: 1")
        await device.receive("ACK")
        again = await device.receive("INVITE")
        assert header(again, "Call-ID") != header(invite, "Call-ID")
        assert header(again, "Subject").partition(",")[0] == header(invite, "Subject").partition(",")[0]
        assert Step.RETRYING in steps(room, session_id)
