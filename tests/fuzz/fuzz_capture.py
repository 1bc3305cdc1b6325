"""Fuzz target: any bytes as a capture file are read or refused, and what was read can be told and shown.

Odd inputs are taken as frames of one datagram instead, so that the layers below SIP are reached at once.
"""

import io
import struct

from commonview.explain import (
    Canvas,
    CaptureUnreadable,
    PcapWriter,
    Report,
    Words,
    capture_document,
    read_capture_from,
    tell,
)
from tests.explain.faults import FAULTS

LINKS = (1, 0, 101, 108, 113, 276)

SEEDS = [capture for _, capture, _, _ in FAULTS[::6]]


def one_input(data: bytes) -> None:
    explained(data)
    explained(struct.pack("<IHHiII", 0xA1B2C3D4, 2, 4, 0, 0, 65535) + data)
    for link in LINKS:
        file = io.BytesIO()
        writer = PcapWriter(file, link_type=link)
        writer.frame(1.0, data)
        writer.frame(2.0, data[1:])
        explained(file.getvalue())
    file = io.BytesIO()
    writer = PcapWriter(file)
    half = len(data) // 2
    ends = ("192.0.2.10", 5060), ("192.0.2.1", 5060)
    writer.udp(1.0, *ends, data[:65_000])
    writer.tcp(2.0, *ends, data[:half])
    writer.tcp(3.0, *ends, data[half:])
    explained(file.getvalue())


def explained(data: bytes) -> None:
    try:
        reading = read_capture_from(io.BytesIO(data))
    except CaptureUnreadable:
        return
    story = tell(reading.recording)
    words = Words("en")
    Report(words, Canvas(80), bodies=True).capture("x", reading, story, None)
    capture_document(reading, story, words, None)
