"""Speaking through devices: what is said reaches the loudspeaker, and every way it can fail has its word."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonview.media import MediaTransport, TalkCarriage
from commonview.network import FailureCode, ViewerEventKind
from commonview.network.quirks import TalkDialect
from commonview.network.voice import Talk, TalkBusy, TalkEnd, TalkHopKind, TalkState
from commonview.simulator import SimulatedCamera, Voice
from commonview.wire.manscdp import Broadcast
from tests.network.harness import DEVICE, Room, until
from tests.network.voice.room import (
    SPEAKER,
    begin,
    microphone,
    reached,
    speak,
    talk_of,
    tone,
    voice_room,
)

pytestmark = pytest.mark.anyio


def _unasked() -> Broadcast:
    return Broadcast(sn=1, source_id="34020000002000000001", target_id=DEVICE)


def hops(talk: Talk) -> list[TalkHopKind]:
    return [hop.kind for hop in talk.hops]


async def heard_a_tone(room: Room, device: SimulatedCamera, node: object, talk: Talk) -> Talk:
    """Half a second of 440 Hz at half of full scale, measured at the loudspeaker."""
    await reached(room, talk, TalkState.CONNECTED)
    sound = tone(440, 0.5)
    async with microphone(node, talk) as browser:  # type: ignore[arg-type]
        await speak(browser, sound)
        await until(lambda: device.voice.heard.packets >= len(sound))
        speaking = talk_of(room, talk)
    assert speaking.state is TalkState.SPEAKING
    assert device.voice.heard.frequency_hz == pytest.approx(440, abs=2)
    assert device.voice.heard.level_dbfs == pytest.approx(-9.03, abs=0.2)
    return await reached(room, talk, TalkState.ENDED)


async def test_a_browser_speaks_and_the_loudspeaker_sounds(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, node):
        talk = begin(room)
        assert talk.state is TalkState.ASKING
        over = await heard_a_tone(room, device, node, talk)
        await until(lambda: not device.voice.listening)
        assert over.end is TalkEnd.STOPPED
        passed = hops(over)
        both = {TalkHopKind.CONNECTED, TalkHopKind.ACKNOWLEDGED}  # in either order: two wires
        assert set(passed[4:6]) == both
        assert [one for one in passed if one not in both] == [
            TalkHopKind.ASKED,
            TalkHopKind.PROMISED,
            TalkHopKind.CALLED,
            TalkHopKind.ANSWERED,
            TalkHopKind.SPEAKER_JOINED,
            TalkHopKind.SPEAKER_LEFT,
            TalkHopKind.ENDED,
        ]
        assert (over.transport, over.carriage) == (MediaTransport.UDP, TalkCarriage.PCMA)
        joined, left = room.viewer_events
        assert (joined.kind, left.kind) == (ViewerEventKind.JOINED, ViewerEventKind.LEFT)
        assert (left.access_id, left.reason, left.bytes_sent) == ("a", "viewer_closed", 25 * 160)
        assert device.voice.heard.payload_types == {8}


@pytest.mark.trap(44)
@pytest.mark.parametrize("way", ["dials", "listens"])
async def test_a_voice_travels_over_tcp_whoever_dials(tmp_path: Path, way: str) -> None:
    voice = Voice(way=way)  # type: ignore[arg-type]
    async with voice_room(tmp_path, voice) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        ours = MediaTransport.TCP_PASSIVE if way == "dials" else MediaTransport.TCP_ACTIVE
        assert over.transport is ours


@pytest.mark.trap(44)
async def test_a_device_that_dials_late_is_waited_for(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(way="dials", dials_after_s=1.0)) as (room, device, node):
        talk = begin(room)
        await until(lambda: TalkHopKind.ACKNOWLEDGED in hops(talk_of(room, talk)))
        assert talk_of(room, talk).state is TalkState.CALLING
        await heard_a_tone(room, device, node, talk)


@pytest.mark.parametrize("encodings", [("PS",), ("AAC", "PS")])
async def test_a_device_that_offers_only_a_program_stream_gets_one(
    tmp_path: Path, encodings: tuple[str, ...]
) -> None:
    async with voice_room(tmp_path, Voice(encodings=encodings)) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        assert over.carriage is TalkCarriage.PROGRAM_STREAM
        assert device.voice.heard.payload_types == {96}


async def test_a_law_is_chosen_wherever_it_stands_in_the_offer(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(encodings=("AAC", "PS", "PCMA"))) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        assert over.carriage is TalkCarriage.PCMA


async def test_a_device_that_offers_aac_alone_is_refused_with_488(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(encodings=("AAC",))) as (room, device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.NO_COMMON_CODEC
        await until(lambda: device.voice.refusals == [488])


@pytest.mark.trap(33)
async def test_an_offer_without_a_number_gets_one_of_ours(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(names_number=False)) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        answered = next(hop for hop in over.hops if hop.kind is TalkHopKind.ANSWERED)
        assert device.voice.heard.ssrcs == {int(answered.params["ssrc"])}
        assert str(answered.params["ssrc"]).startswith("020000")


@pytest.mark.trap(32)
@pytest.mark.parametrize("caller", [DEVICE, "34020000001320000001", SPEAKER, "unheard-of-1"])
async def test_a_call_is_known_by_where_it_comes_from_whomever_it_names(tmp_path: Path, caller: str) -> None:
    async with voice_room(tmp_path, Voice(caller=caller)) as (room, device, node):
        await heard_a_tone(room, device, node, begin(room))


async def test_only_a_device_that_was_asked_may_call(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, _node):
        await device.voice._call(_unasked(), device.registration.flow)  # type: ignore[arg-type]
        assert device.voice.refusals == [488]
        assert room.service.router.counters["call_from_stranger"] == 1


async def test_a_second_call_while_one_stands_is_refused_with_486(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, _node):
        await reached(room, begin(room), TalkState.CONNECTED)
        await device.voice._call(_unasked(), device.registration.flow)  # type: ignore[arg-type]
        assert device.voice.refusals == [486]


async def test_a_device_that_answers_nothing_and_calls_is_heard_all_the_same(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(silent=True)) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        assert TalkHopKind.PROMISED not in hops(over)


async def test_a_device_that_never_calls_has_its_own_word(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(calls=False), call_s=0.5) as (room, _device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.NEVER_CALLED
        assert hops(talk) == [TalkHopKind.ASKED, TalkHopKind.PROMISED, TalkHopKind.FAILED]
        (left,) = room.viewer_events
        assert (left.kind, left.reason) == (ViewerEventKind.LEFT, "no_media")


async def test_a_voice_goes_to_no_host_of_a_devices_choice(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(media_host="203.0.113.9")) as (room, device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert (talk.failure.code, talk.failure.params["why"]) == (
            FailureCode.SDP_UNUSABLE,
            "address_elsewhere",
        )
        await until(lambda: device.voice.refusals == [488])


@pytest.mark.trap(49)
@pytest.mark.parametrize("transport", ["udp", "tcp-passive", "tcp-active"])
async def test_a_device_that_refuses_broadcasts_is_called_by_us_and_that_is_remembered(
    tmp_path: Path, transport: str
) -> None:
    voice = Voice(broadcast=False)
    async with voice_room(tmp_path, voice, media_transport=transport) as (room, device, node):
        over = await heard_a_tone(room, device, node, begin(room))
        assert (over.dialect, str(over.transport)) == (TalkDialect.INVITE, transport)
        assert hops(over)[:4] == [
            TalkHopKind.ASKED,
            TalkHopKind.BROADCAST_REFUSED,
            TalkHopKind.INVITED,
            TalkHopKind.ANSWERED,
        ]
        await until(lambda: not device.voice.listening)
        again = begin(room, access_id="b")
        assert again.dialect is TalkDialect.INVITE
        over = await heard_a_tone(room, device, node, again)
        assert TalkHopKind.ASKED not in hops(over)


@pytest.mark.trap(49)
async def test_a_device_whose_profile_says_so_is_called_at_once(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, node):
        await room.service.quirks.override(DEVICE, {"talk": "invite"})
        over = await heard_a_tone(room, device, node, begin(room))
        assert hops(over)[0] is TalkHopKind.INVITED


async def test_a_device_that_refuses_both_ways_says_so(tmp_path: Path) -> None:
    async with voice_room(tmp_path, None) as (room, _device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.BROADCAST_REFUSED
        assert talk.failure.params == {"status": 200, "reason": "ERROR", "invite": 488}
        assert begin(room, access_id="b").dialect is TalkDialect.BROADCAST  # nothing was learnt from that


async def test_a_busy_device_says_so(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(broadcast=False, busy=True)) as (room, _device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.DEVICE_BUSY


@pytest.mark.parametrize("broadcast", [True, False])
async def test_a_device_that_hangs_up_ends_the_speaker(tmp_path: Path, broadcast: bool) -> None:
    voice = Voice(broadcast=broadcast, hangs_up_after_s=0.5)
    async with voice_room(tmp_path, voice) as (room, _device, node):
        talk = begin(room)
        await reached(room, talk, TalkState.CONNECTED)
        async with microphone(node, talk) as browser:
            assert [message async for message in browser][-1] == '{"type":"end","reason":"talk_ended"}'
        over = await reached(room, talk, TalkState.ENDED)
        assert over.end is TalkEnd.DEVICE_ENDED
        await until(lambda: [one.kind for one in room.viewer_events][-1] is ViewerEventKind.LEFT)
        assert room.viewer_events[-1].reason == "stream_ended"


async def test_one_talk_a_device_at_a_time(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(), channels=2) as (room, _device, _node):
        begin(room)
        with pytest.raises(TalkBusy):
            begin(room, f"{DEVICE}-34020000001320000002", access_id="b")
        await room.service.leave("a")
        begin(room, access_id="b")


@pytest.mark.parametrize("state", [TalkState.ASKING, TalkState.CONNECTED])
async def test_a_talk_ends_with_its_grant_even_before_anybody_spoke(tmp_path: Path, state: TalkState) -> None:
    voice = Voice(calls=state is TalkState.CONNECTED)
    async with voice_room(tmp_path, voice) as (room, device, _node):
        talk = begin(room)
        await reached(room, talk, state)
        room.service.voice.cut_grant("g")
        over = await reached(room, talk, TalkState.ENDED)
        assert over.end is TalkEnd.GRANT_REVOKED
        assert [one.reason for one in room.viewer_events] == ["grant_revoked"]
        await until(lambda: not device.voice.listening)


async def test_a_talk_ends_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, node):
        talk = begin(room, seconds=1.5)
        await reached(room, talk, TalkState.CONNECTED)
        async with microphone(node, talk) as browser:
            await speak(browser, tone(440, 0.1))
            over = await reached(room, talk, TalkState.ENDED)
        assert over.end is TalkEnd.GRANT_ENDED
        await until(lambda: not device.voice.listening)


async def test_a_restart_hangs_up(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, node):
        talk = begin(room)
        await reached(room, talk, TalkState.CONNECTED)
        async with microphone(node, talk):
            await reached(room, talk, TalkState.SPEAKING)
            await room.service.voice.close()
        assert talk_of(room, talk).end is TalkEnd.SHUTDOWN
        assert not device.voice.listening
        assert room.viewer_events[-1].kind is ViewerEventKind.LEFT


async def test_a_loudspeaker_of_the_only_camera_is_addressed(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(), speakers=(SPEAKER,)) as (room, device, node):
        talk = begin(room)
        assert talk.target_id == SPEAKER
        await heard_a_tone(room, device, node, talk)


@pytest.mark.trap(49)
async def test_a_device_with_sound_only_is_spoken_through_its_loudspeaker(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(), channels=0, speakers=(SPEAKER,)) as (room, device, node):
        await heard_a_tone(room, device, node, begin(room, f"{DEVICE}-{SPEAKER}"))


async def test_a_device_that_is_away_fails_at_once(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice()) as (room, device, _node):
        await device.stop()
        await until(lambda: not room.service.device(DEVICE).online)
        talk = begin(room)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.DEVICE_OFFLINE
