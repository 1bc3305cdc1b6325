"""The program stream: golden headers, sizes, and ffprobe as an independent reader."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.simulator.file_source import open_file
from commonview.simulator.frames import Frame, FrameKind, StreamType
from commonview.simulator.ps import PsMuxer, crc32_mpeg, pack_header, pes_packets, program_stream_map
from tests.simulator.material import make_video, probe


def video(data: bytes = b"\x00\x00\x01\x65x", *, key: bool = True, pts: int = 3600, dts: int = 3600) -> Frame:
    return Frame(FrameKind.VIDEO, data, pts, dts, key)


def test_pack_header_at_zero_has_its_marker_bits() -> None:
    assert pack_header(0) == bytes.fromhex("000001ba 440004000401 030d43 f8")


@given(st.integers(0, 2**40))
def test_the_clock_reference_reads_back_modulo_33_bits(scr: int) -> None:
    bits = int.from_bytes(pack_header(scr)[4:10], "big")
    base = (bits >> 43 & 0x7) << 30 | (bits >> 27 & 0x7FFF) << 15 | (bits >> 11 & 0x7FFF)
    assert base == scr % 2**33


def test_the_stream_map_names_codec_and_stream_and_its_crc_is_zero_sum() -> None:
    psm = program_stream_map(StreamType.H265, StreamType.AAC)
    assert psm[:4] == b"\x00\x00\x01\xbc"
    assert psm[10:20] == bytes.fromhex("0008 24e00000 0fc00000")
    assert crc32_mpeg(psm) == 0


def test_crc_of_the_check_string() -> None:
    assert crc32_mpeg(b"123456789") == 0x0376E6E7


def test_key_frames_carry_system_header_and_map_before_the_first_pes() -> None:
    pack = PsMuxer(StreamType.H264).pack(video())
    places = [pack.find(b"\x00\x00\x01" + code) for code in (b"\xba", b"\xbb", b"\xbc", b"\xe0")]
    assert places == sorted(places)
    assert places[0] == 0


def test_other_frames_carry_neither() -> None:
    pack = PsMuxer(StreamType.H264).pack(video(key=False))
    assert b"\x00\x00\x01\xbb" not in pack
    assert b"\x00\x00\x01\xbc" not in pack


def test_the_map_can_be_left_out() -> None:
    assert b"\x00\x00\x01\xbc" not in PsMuxer(StreamType.H264, with_map=False).pack(video())


def test_a_pes_carries_dts_only_when_it_differs() -> None:
    same = b"".join(pes_packets(0xE0, b"x", 90_000, 90_000))
    other = b"".join(pes_packets(0xE0, b"x", 93_600, 90_000))
    assert (same[7], same[8], other[7], other[8]) == (0x80, 5, 0xC0, 10)
    assert same[9:14] == bytes.fromhex("210005bf21")


@given(st.integers(0, 200_000))
def test_a_frame_of_any_size_is_cut_into_pes_packets_that_add_up(size: int) -> None:
    data = bytes(size)
    stream = b"".join(pes_packets(0xE0, data, 0, 0))
    rest, gathered = stream, 0
    while rest:
        assert rest[:4] == b"\x00\x00\x01\xe0"
        length = int.from_bytes(rest[4:6], "big")
        gathered += length - 3 - rest[8]
        rest = rest[6 + length :]
    assert gathered == size


@pytest.mark.interop
@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_ffprobe_reads_every_frame_of_two_rounds(
    tmp_path: Path, codec: str, name: str, b_frames: int
) -> None:
    source = open_file(make_video(tmp_path / "in.mp4", codec=codec, b_frames=b_frames))
    muxer = PsMuxer(source.format.video)
    frames = source.looped()
    out = tmp_path / "out.ps"
    out.write_bytes(b"".join(muxer.pack(next(frames)) for _ in range(100)))
    found = probe(out)
    assert (found["video"]["codec_name"], found["video"]["width"]) == (name, 320)
    assert found["video"]["nb_read_frames"] == "100"
    assert float(found["video"]["duration"]) == pytest.approx(4.0, abs=0.1)
    assert found["warnings"] == ""


@pytest.mark.interop
def test_ffprobe_reads_aac_beside_the_picture(tmp_path: Path) -> None:
    source = open_file(make_video(tmp_path / "in.mp4", audio="aac", audio_rate=44_100))
    muxer = PsMuxer(source.format.video, source.format.audio)
    frames = source.looped()
    out = tmp_path / "out.ps"
    out.write_bytes(b"".join(muxer.pack(next(frames)) for _ in range(150)))
    found = probe(out)
    assert (found["video"]["codec_name"], found["audio"]["codec_name"]) == ("h264", "aac")
    assert found["audio"]["sample_rate"] == "44100"


@pytest.mark.parametrize(
    ("container", "audio", "rate", "stream_type"),
    [
        ("in.avi", "pcm_alaw", 8000, StreamType.G711A),
        ("in.avi", "pcm_mulaw", 8000, StreamType.G711U),
        ("in.mkv", "pcm_s16le", 16_000, StreamType.G711A),
    ],
)
def test_telephone_sound_is_kept_and_other_sound_becomes_g711a(
    tmp_path: Path, container: str, audio: str, rate: int, stream_type: StreamType
) -> None:
    source = open_file(make_video(tmp_path / container, audio=audio, audio_rate=rate))
    assert source.format.audio is stream_type
    frames = itertools.takewhile(lambda frame: frame.dts_90k < source.duration_90k, source.looped())
    sound = [frame for frame in frames if frame.kind is FrameKind.AUDIO]
    assert sum(len(frame.data) for frame in sound) == pytest.approx(2 * 8000, rel=0.05)
    pack = PsMuxer(source.format.video, stream_type).pack(sound[0])
    assert pack[14:18] == b"\x00\x00\x01\xc0"
    assert pack.endswith(sound[0].data)
