"""Fuzz target: any bytes as SDP are read or refused, and what can be written reads the same."""

from commonview.wire.sdp import SdpError
from commonview.wire.sdp_reader import parse_sdp
from tests.wire.test_sdp import TCP_OFFER_WIRE

SEEDS = [TCP_OFFER_WIRE, TCP_OFFER_WIRE.replace(b"TCP/RTP", b"RTP").replace(b"\r\n", b"\n")]


def one_input(data: bytes) -> None:
    try:
        read = parse_sdp(data)
        wire = read.encode()
    except SdpError:
        return
    again = parse_sdp(wire)
    if (again.address, again.port, again.ssrc, again.payload_types) != (
        read.address,
        read.port,
        read.ssrc,
        read.payload_types,
    ):
        raise AssertionError(f"written {wire!r} reads differently")
