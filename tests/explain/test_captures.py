"""Capture files in every shape: byte orders, pcapng, link types, VLAN, IPv6, fragments, holes, and damage."""

import io
import random
import struct
from collections.abc import Callable

import pytest

from commonview.explain import CaptureUnreadable, PcapWriter, Reading, read_capture_from, tell
from tests.explain.script import CAMERA_AT, PLATFORM_AT, Script, channels
from tests.explain.test_verdicts import healthy

REQUEST = b"OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"


def read(data: bytes) -> Reading:
    return read_capture_from(io.BytesIO(data))


def ip_packet() -> bytes:
    file = io.BytesIO()
    PcapWriter(file).udp(1.0, CAMERA_AT, PLATFORM_AT, REQUEST)
    return file.getvalue()[24 + 16 + 14 :]


def pcap(link: int, frame: bytes, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + struct.pack(order + "IIII", 1, 500_000, len(frame), len(frame)) + frame


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng(link: int, frame: bytes, order: str = "<", *, resolution: bytes = b"") -> bytes:
    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    interface = block(1, struct.pack(order + "HHI", link, 0, 65535) + resolution, order)
    packet = struct.pack(order + "IIIII", 0, 0, 1_500_000, len(frame), len(frame)) + frame
    return section + interface + block(6, packet, order)


ETHERNET = bytes(12) + b"\x08\x00"
LINKS: dict[str, tuple[int, bytes]] = {
    "ethernet": (1, ETHERNET),
    "vlan": (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
    "double vlan": (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
    "raw": (101, b""),
    "null": (0, b"\x02\x00\x00\x00"),
    "loop": (108, b"\x00\x00\x00\x02"),
    "cooked v1": (113, bytes(14) + b"\x08\x00"),
    "cooked v2": (276, b"\x08\x00" + bytes(18)),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("container", [pcap, pcapng])
def test_sip_is_found_under_every_link_type(name: str, container: Callable[[int, bytes], bytes]) -> None:
    link, head = LINKS[name]
    (sighting,) = read(container(link, head + ip_packet())).recording.sightings
    assert (sighting.source, sighting.target, sighting.at) == (CAMERA_AT, PLATFORM_AT, 1.5)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_nanoseconds_are_read(order: str) -> None:
    frame = ETHERNET + ip_packet()
    assert read(pcap(1, frame, order)).recording.begins == 1.5
    assert read(pcap(1, frame, order, 0xA1B23C4D)).recording.begins == pytest.approx(1.0005)
    assert read(pcapng(1, frame, order)).recording.begins == 1.5
    nano = struct.pack(order + "HHB3x", 9, 1, 9)
    assert read(pcapng(1, frame, order, resolution=nano)).recording.begins == pytest.approx(0.0015)


def test_a_link_type_nobody_reads_is_told() -> None:
    reading = read(pcap(147, b"whatever"))
    assert reading.counters.unknown_links == {147: 1}


def test_ipv6_is_read() -> None:
    file = io.BytesIO()
    PcapWriter(file).udp(1.0, ("2001:db8::10", 5060), ("2001:db8::1", 5060), REQUEST)
    (sighting,) = read(file.getvalue()).recording.sightings
    assert sighting.source == ("2001:db8::10", 5060)


def test_fragments_in_any_order_make_one_message() -> None:
    file = io.BytesIO()
    PcapWriter(file).udp(1.0, CAMERA_AT, PLATFORM_AT, REQUEST[:-4] + b"\r\nX: " + b"y" * 5000 + b"\r\n\r\n")
    head, rest = file.getvalue()[:24], file.getvalue()[24:]
    frames: list[bytes] = []
    while rest:
        size = struct.unpack_from("<I", rest, 8)[0]
        frames.append(rest[: 16 + size])
        rest = rest[16 + size :]
    assert len(frames) == 4
    (sighting,) = read(head + b"".join(frames[::-1])).recording.sightings
    assert sighting.fragments == 4
    missing = read(head + b"".join(frames[:2] + frames[3:]))
    assert (missing.recording.sightings, missing.counters.half_datagrams) == ([], 1)
    assert missing.recording.pieces[0].why == "fragments"


def tcp_script() -> list[bytes]:
    s = Script(transport="tcp")
    s.register()
    s.ask()
    s.page(channels(40), 40)
    data = s.capture()
    frames, rest = [data[:24]], data[24:]
    while rest:
        size = struct.unpack_from("<I", rest, 8)[0]
        frames.append(rest[: 16 + size])
        rest = rest[16 + size :]
    return frames


def test_tcp_segments_out_of_order_and_twice_are_put_right() -> None:
    head, *frames = tcp_script()
    whole = [each.raw for each in read(head + b"".join(frames)).recording.sightings]
    shaken = [*frames[:8], frames[9], frames[8], frames[8], *frames[10:]]
    assert [each.raw for each in read(head + b"".join(shaken)).recording.sightings] == whole
    assert read(head + b"".join([*frames, *frames[3:]])).retransmitted_segments > 0


def test_a_hole_in_a_tcp_stream_costs_its_message_and_no_more() -> None:
    s = Script(transport="tcp")
    s.register()
    s.writer.skip(CAMERA_AT, PLATFORM_AT, 700)
    for _ in range(900):  # enough behind the hole to give it up
        s.keepalive()
    reading = read(s.capture())
    assert reading.gaps == 1
    assert len(reading.recording.sightings) > 1700


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"\x0a\x0d\x0d\x0a" + bytes(40)]
)
def test_what_is_no_capture_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(CaptureUnreadable):
        read(data)


def test_a_capture_that_breaks_off_gives_what_came_before() -> None:
    data = healthy().capture()
    reading = read(data[: len(data) // 2])
    assert reading.damage == "cut"
    assert reading.recording.sightings
    assert tell(reading.recording).exchanges


def test_damaged_captures_never_raise_anything_else() -> None:
    chance = random.Random(28181)
    for transport in ("udp", "tcp"):
        data = healthy(transport).capture()
        for _ in range(60):
            broken = bytearray(data)
            for _ in range(chance.randrange(1, 40)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            try:
                reading = read(bytes(broken))
            except CaptureUnreadable:
                continue
            tell(reading.recording)
