"""What a voice is coded in: AAC where both sides have it, else A-law, else a refusal that says why."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import numpy as np
import pytest

from commonview.media import TalkCarriage
from commonview.network import FailureCode
from commonview.network.voice import TalkHopKind, TalkState
from commonview.network.voice.offer import answer_to, read_offer
from commonview.network.voice.sound import NoCommonSound, Sound
from commonview.simulator import Voice
from tests.network.harness import until
from tests.network.voice.room import begin, microphone, reached, talk_of, voice_room
from tests.network.voice.test_rules import HOME, US, offer

HBR = "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"
AAC_16 = ("a=rtpmap:97 MPEG4-GENERIC/16000/1", f"a=fmtp:97 {HBR};config=1408")
IN_PS = ("a=rtpmap:96 PS/90000", "f=v/////a/6//3")


def chosen(body: bytes, *rates: int) -> Sound:
    return read_offer(body, "192.0.2.7", HOME, aac_rates=rates).sound


def test_aac_is_spoken_where_the_browser_encodes_it_and_a_law_where_it_does_not() -> None:
    body = offer("audio 6000 RTP/AVP 8 97", *AAC_16)
    assert chosen(body, 48000, 16000) == Sound(TalkCarriage.AAC, 97, 16000)
    assert chosen(body, 48000) == chosen(body) == Sound(TalkCarriage.PCMA, 8)


def test_a_program_stream_holds_what_f_names() -> None:
    body = offer("audio 6000 RTP/AVP 96", *IN_PS)
    assert chosen(body, 16000) == Sound(TalkCarriage.AAC_PROGRAM_STREAM, 96, 16000)
    telephone = offer("audio 6000 RTP/AVP 96", "a=rtpmap:96 PS/90000", "f=v/////a/1/8/1")
    assert chosen(telephone, 16000) == Sound(TalkCarriage.PROGRAM_STREAM, 96)


@pytest.mark.parametrize(
    ("body", "rates", "why"),
    [
        (offer("audio 6000 RTP/AVP 97", *AAC_16), (), "aac_not_encoded"),
        (offer("audio 6000 RTP/AVP 97", *AAC_16), (48000,), "aac_rate"),
        (offer("audio 6000 RTP/AVP 96", *IN_PS), (), "aac_not_encoded"),
        (offer("audio 6000 RTP/AVP 102", "a=rtpmap:102 AAC/8000"), (8000,), "not_offered"),
        (offer("audio 6000 RTP/AVP 97", "a=rtpmap:97 MPEG4-GENERIC/16000/2"), (16000,), "not_offered"),
        (offer("audio 6000 RTP/AVP 97", "a=rtpmap:97 MPEG4-GENERIC/44100"), (16000,), "not_offered"),
        (
            offer("audio 6000 RTP/AVP 97", AAC_16[0], "a=fmtp:97 mode=AAC-lbr;sizelength=6;indexlength=2"),
            (16000,),
            "not_offered",
        ),
        (offer("audio 6000 RTP/AVP 4", "a=rtpmap:4 G723/8000"), (16000,), "not_offered"),
    ],
)
def test_a_refusal_says_whose_lack_it_is(body: bytes, rates: tuple[int, ...], why: str) -> None:
    with pytest.raises(NoCommonSound, match=why):
        chosen(body, *rates)


def test_an_answer_with_aac_describes_it_as_rfc_3640_wants() -> None:
    read = read_offer(offer("audio 6000 RTP/AVP 97", *AAC_16), "192.0.2.7", HOME, aac_rates=(16000,))
    assert answer_to(read, US, "198.51.100.1", 30000, 1).decode().splitlines()[5:] == [
        "m=audio 30000 RTP/AVP 97",
        "a=sendonly",
        "a=rtpmap:97 MPEG4-GENERIC/16000",
        f"a=fmtp:97 {HBR};config=1408",
        "f=v/////a/6//3",
        "y=0000000001",
    ]


def encoded(seconds: float) -> list[bytes]:
    """440 Hz as FFmpeg encodes it: raw access units of AAC-LC, 16 kHz, one channel."""
    tone = f"sine=frequency=440:sample_rate=16000:duration={seconds}"
    command = f"ffmpeg -v error -f lavfi -i {tone} -c:a aac -b:a 32k -ac 1 -f adts -"
    made = subprocess.run(command.split(), capture_output=True, check=True).stdout
    units = []
    while made:
        length = (made[3] & 3) << 11 | made[4] << 3 | made[5] >> 5
        units.append(made[7:length])
        made = made[length:]
    return units


def pitch(adts: bytes) -> float:
    """The loudest frequency of what FFmpeg decodes, in Hz."""
    samples = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "aac", "-i", "-", "-f", "s16le", "-ar", "16000", "-ac", "1", "-"],
        input=adts,
        capture_output=True,
        check=True,
    ).stdout
    wave = np.frombuffer(samples, dtype="<i2")
    spectrum = np.abs(np.fft.rfft(wave))
    return float(np.argmax(spectrum) * 16000 / len(wave))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("encodings", "carriage", "payload_type"),
    [
        (("PCMA", "MPEG4-GENERIC"), TalkCarriage.AAC, 97),
        (("PS-AAC",), TalkCarriage.AAC_PROGRAM_STREAM, 96),
    ],
)
async def test_a_tone_in_aac_comes_out_of_the_loudspeaker(
    tmp_path: Path, encodings: tuple[str, ...], carriage: TalkCarriage, payload_type: int
) -> None:
    sound = encoded(1.0)
    async with voice_room(tmp_path, Voice(encodings=encodings)) as (room, device, node):
        talk = begin(room, aac_rates=(48000, 16000))
        shown = await reached(room, talk, TalkState.CONNECTED)
        assert (shown.carriage, shown.aac_rate_hz) == (carriage, 16000)
        async with microphone(node, talk) as browser:
            for unit in sound:
                await browser.send(unit)
                await asyncio.sleep(1024 / 16000)  # as it would be spoken: nothing runs ahead of the clock
            await until(lambda: device.voice.heard.packets >= len(sound))
        over = await reached(room, talk, TalkState.ENDED)
    heard = device.voice.heard
    assert (heard.payload_types, heard.packets, heard.alaw) == ({payload_type}, len(sound), bytearray())
    assert pitch(bytes(heard.aac)) == pytest.approx(440, abs=3)
    left = room.viewer_events[-1]
    assert left.bytes_sent >= sum(map(len, sound))
    assert [hop.params["encoding"] for hop in over.hops if hop.kind is TalkHopKind.ANSWERED] == [
        carriage.value
    ]


@pytest.mark.anyio
async def test_a_browser_without_aac_is_told_that_the_device_takes_nothing_else(tmp_path: Path) -> None:
    async with voice_room(tmp_path, Voice(encodings=("MPEG4-GENERIC",))) as (room, device, _node):
        talk = await reached(room, begin(room), TalkState.FAILED)
        assert talk.failure is not None
        assert (talk.failure.code, talk.failure.params) == (
            FailureCode.NO_COMMON_CODEC,
            {"why": "aac_not_encoded"},
        )
        await until(lambda: device.voice.refusals == [488])
        assert talk_of(room, talk).carriage is None
