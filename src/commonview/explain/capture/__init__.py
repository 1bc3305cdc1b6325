"""Capture files: reading pcap and pcapng down to datagrams and TCP streams, and writing pcap.

Everything in a capture is hostile: sizes are bounded, what cannot be read is counted and passed over.
"""

from commonview.explain.capture.files import Frame, read_frames
from commonview.explain.capture.network import CaptureCounters, Datagram, NetworkReader, Segment
from commonview.explain.capture.streams import Chunk, StreamAssembler
from commonview.explain.capture.writer import PcapWriter

__all__ = [
    "CaptureCounters",
    "Chunk",
    "Datagram",
    "Frame",
    "NetworkReader",
    "PcapWriter",
    "Segment",
    "StreamAssembler",
    "read_frames",
]
