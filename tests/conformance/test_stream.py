"""The checker of streams, byte by byte."""

from hypothesis import given
from hypothesis import strategies as st

from commonview.conformance.receiving import Collector, TcpReceiver
from commonview.conformance.stream import analyse, parse_packet, read_map
from commonview.simulator.frames import Frame, FrameKind, StreamType
from commonview.simulator.ps import PsMuxer
from commonview.simulator.rtp import RtpPacketiser

KEY = b"\x00\x00\x00\x01\x67\x42\x00\x0a\x00\x00\x00\x01\x65" + bytes([7] * 4000)


def packets(
    *, frames: int = 4, with_map: bool = True, spoil: tuple[bytes, bytes] = (b"", b"")
) -> list[bytes]:
    muxer, packetiser = PsMuxer(StreamType.H264, with_map=with_map), RtpPacketiser(17, seed=1)
    made: list[bytes] = []
    for number in range(frames):
        frame = Frame(FrameKind.VIDEO, KEY, number * 3600, number * 3600, True)
        pack = muxer.pack(frame).replace(*spoil, 1) if spoil[0] else muxer.pack(frame)
        made += packetiser.packets_of(pack, frame.dts_90k)
    return made


def test_right_stream_has_everything() -> None:
    facts = analyse((number / 25, one) for number, one in enumerate(packets()))
    assert (facts.gaps, facts.malformed, facts.ssrcs, facts.payload_types) == (
        0,
        0,
        frozenset({17}),
        frozenset({96}),
    )
    assert facts.types == {0xE0: 0x1B}
    assert len(facts.key_frames) == 3, "the last frame may be cut and is not judged"
    for frame in facts.frames:
        assert all((frame.begins_with_pack, frame.system_header, frame.stream_map, frame.timed))
        assert not frame.pes_broken


def test_wrong_pes_header_is_found_and_hides_no_key_frame() -> None:
    wrong = packets(spoil=(b"\x84\x80\x05", b"\xc0\x0a\x31"))
    facts = analyse((number / 25, one) for number, one in enumerate(wrong))
    assert all(frame.pes_broken and not frame.timed for frame in facts.frames)
    assert len(facts.key_frames) == 3


def test_loss_and_disorder_and_doubles_are_breaks() -> None:
    right = packets()
    lost = [*right[:2], *right[3:]]
    assert analyse(enumerate(lost)).gaps == 1
    swapped = [right[1], right[0], *right[2:]]
    assert analyse(enumerate(swapped)).gaps == 2, "down and up again"
    doubled = [right[0], *right]
    facts = analyse(enumerate(doubled))
    assert facts.gaps == 1
    assert all(frame.whole for frame in facts.frames)


def test_map_is_read_and_a_cut_one_gives_what_it_has() -> None:
    body = b"\xe0\xff\x00\x00\x00\x08\x1b\xe0\x00\x00\x90\xc0\x00\x00" + bytes(4)
    assert read_map(body) == {0xE0: 0x1B, 0xC0: 0x90}
    assert read_map(body[:10]) == {0xE0: 0x1B}
    assert read_map(b"\xe0") == {}


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_any_bytes_are_judged_without_harm(data: list[bytes]) -> None:
    facts = analyse(enumerate(data))
    assert facts.packets == len(data)
    assert facts.malformed == sum(parse_packet(0, one) is None for one in data)


def framed(data: bytes) -> Collector:
    receiver = TcpReceiver(passive=True)
    waiting = bytearray()
    for octet in data:
        waiting.append(octet)
        receiver.take_framed(waiting)
    return receiver.collector


def test_two_byte_lengths_are_cut_wherever_the_segments_end() -> None:
    right = packets(frames=1)
    collector = framed(b"".join(len(one).to_bytes(2, "big") + one for one in right))
    assert [data for _, data in collector.packets] == right
    assert not collector.broken_framing


def test_dollar_framing_of_rtsp_is_no_rfc_4571() -> None:
    one = packets(frames=1)[0]
    collector = framed(b"$\x00" + len(one).to_bytes(2, "big") + one)
    assert collector.broken_framing
    assert not collector.packets
