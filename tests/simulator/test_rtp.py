"""RTP: one timestamp a frame, the marker at its end, RFC 4571 before each packet over TCP."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from commonview.simulator.rtp import MAX_PAYLOAD_BYTES, RtpPacketiser
from tests.simulator.depacketise import packs_of, read_packet


@given(st.binary(min_size=1, max_size=20_000))
def test_packets_add_up_to_the_pack(pack: bytes) -> None:
    packets = RtpPacketiser(7).packets_of(pack, 3600)
    assert packs_of(packets) == [pack]
    assert all(len(packet) <= 12 + MAX_PAYLOAD_BYTES for packet in packets)


def test_the_marker_stands_on_the_last_packet_alone() -> None:
    packets = RtpPacketiser(7).packets_of(bytes(3 * MAX_PAYLOAD_BYTES), 3600)
    assert [read_packet(packet).marker for packet in packets] == [False, False, True]


def test_frames_of_the_same_time_still_differ_in_timestamp() -> None:
    packetiser = RtpPacketiser(7)
    first, second = (read_packet(packetiser.packets_of(b"x", 3600)[0]).timestamp for _ in range(2))
    assert second == (first + 1) & 0xFFFF_FFFF


def test_sequence_numbers_run_through_their_wrap() -> None:
    packetiser = RtpPacketiser(7, seed=1)
    packets = packetiser.packets_of(bytes(MAX_PAYLOAD_BYTES * 70_000), 0)
    numbers = [read_packet(packet).sequence for packet in packets]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))


def test_timestamps_advance_with_the_source_modulo_32_bits() -> None:
    packetiser = RtpPacketiser(0x1234, 97)
    one = read_packet(packetiser.packets_of(b"x", 0)[0])
    two = read_packet(packetiser.packets_of(b"x", 2**32 + 3600)[0])
    assert (two.timestamp - one.timestamp) & 0xFFFF_FFFF == 3600
    assert (two.ssrc, two.payload_type) == (0x1234, 97)


def test_framed_packets_carry_their_length_before_them() -> None:
    for framed in RtpPacketiser(7).packets_of(bytes(3000), 0, framed=True):
        assert int.from_bytes(framed[:2], "big") == len(framed) - 2
        assert read_packet(framed[2:]).ssrc == 7
