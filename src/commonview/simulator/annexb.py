"""What the simulator must know of elementary streams: key frames, parameter sets, ADTS headers."""

import re
from collections.abc import Callable, Iterator
from typing import Final

_START_CODE = re.compile(rb"\x00\x00\x01")
_H264_IDR: Final = 5
_H264_SETS: Final = frozenset({7, 8})
_H265_IRAP: Final = frozenset(range(16, 24))
_H265_SETS: Final = frozenset({32, 33, 34})


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B access unit, start codes and trailing zeros removed."""
    starts = [found.end() for found in _START_CODE.finditer(data)]
    for index, start in enumerate(starts):
        end = starts[index + 1] - 3 if index + 1 < len(starts) else len(data)
        unit = data[start:end].rstrip(b"\x00")
        if unit:
            yield unit


def nal_type(unit: bytes, *, h265: bool) -> int:
    """nal_unit_type (H.264 7.3.1, H.265 7.3.1.2)."""
    return (unit[0] >> 1) & 0x3F if h265 else unit[0] & 0x1F


def is_key_frame(data: bytes, *, h265: bool) -> bool:
    """Whether the access unit holds an IDR slice (H.264) or an IRAP slice (H.265)."""
    for unit in nal_units(data):
        kind = nal_type(unit, h265=h265)
        if (h265 and kind in _H265_IRAP) or (not h265 and kind == _H264_IDR):
            return True
    return False


def parameter_sets(data: bytes, *, h265: bool) -> bytes:
    """The VPS, SPS and PPS of an access unit in Annex B form; empty when it has no SPS of its own."""
    sets = _H265_SETS if h265 else _H264_SETS
    sps = 33 if h265 else 7
    found = [(nal_type(unit, h265=h265), unit) for unit in nal_units(data)]
    if not any(kind == sps for kind, _ in found):
        return b""
    return b"".join(b"\x00\x00\x00\x01" + unit for kind, unit in found if kind in sets)


def adts_writer(audio_specific_config: bytes) -> Callable[[int], bytes]:
    """A function from the length of a raw AAC frame to its ADTS header (ISO/IEC 14496-3 1.A.2.2).

    Takes object type, sampling frequency index and channels from the AudioSpecificConfig; an explicit
    frequency (index 15) cannot be said in ADTS and is told as 44.1 kHz.
    """
    first, second = (audio_specific_config + b"\x00\x00")[:2]
    object_type = first >> 3
    frequency = ((first & 0b111) << 1) | (second >> 7)
    channels = (second >> 3) & 0b1111
    profile = min(max(object_type, 1), 4) - 1
    if frequency == 15:
        frequency = 4

    def header(length: int) -> bytes:
        total = length + 7
        bits = 0xFFF1 << 40
        bits |= profile << 38 | frequency << 34 | (channels & 0b111) << 30
        bits |= (total & 0x1FFF) << 13 | 0x7FF << 2
        return bits.to_bytes(7, "big")

    return header
