"""H.264 in MP4: parameter sets and access units, as far as putting two encodings into one track needs it.

An `avcC` (ISO/IEC 14496-15, 5.3.3) may name several parameter sets with different ids (H.264 7.4.1.2.1).
So pictures of another encoder stand between those of a camera without a second sample entry, which not
every player knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from commonview.rendering.bits import BadParameters, Bits, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IDR: Final = 5
SEI: Final = 6
SPS: Final = 7
PPS: Final = 8
DELIMITER: Final = 9
LEVEL_AT: Final = 3
"""Where a sequence parameter set says its level, behind profile and constraints (7.3.2.1.1)."""
_MOST_ID: Final = 31


@dataclass(frozen=True, slots=True)
class AvcConfiguration:
    """An `avcC`."""

    profile: int
    compatibility: int
    level: int
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    extension: bytes

    @classmethod
    def parse(cls, data: bytes) -> AvcConfiguration:
        """Raises `BadParameters`."""
        try:
            if data[0] != 1:
                raise BadParameters("no avcC of version 1")
            sps, at = _sets(data, 6, data[5] & 0x1F)
            pps, at = _sets(data, at + 1, data[at])
        except IndexError as error:
            raise BadParameters("the avcC is cut off") from error
        return cls(data[1], data[2], data[3], (data[4] & 3) + 1, sps, pps, data[at:])

    def encode(self) -> bytes:
        """As octets."""
        head = bytes([1, self.profile, self.compatibility, self.level, 0xFC | (self.length_size - 1)])
        body = bytes([0xE0 | len(self.sps)]) + prefixed(self.sps, 2)
        return head + body + bytes([len(self.pps)]) + prefixed(self.pps, 2) + self.extension

    def free_id(self) -> int:
        """An id that no parameter set here has. Raises `BadParameters`."""
        taken = {sps_id(one) for one in self.sps} | {number for one in self.pps for number in pps_ids(one)}
        free = next((number for number in range(1, _MOST_ID + 1) if number not in taken), None)
        if free is None:
            raise BadParameters("every id is taken")
        return free

    def joined(self, sps: Iterable[bytes], pps: Iterable[bytes]) -> AvcConfiguration:
        """With further parameter sets; the level is that of the most demanding."""
        more_sps, more_pps = tuple(sps), tuple(pps)
        level = max([self.level, *(one[LEVEL_AT] for one in more_sps)])
        return replace(self, level=level, sps=self.sps + more_sps, pps=self.pps + more_pps)


def annex_b(data: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream (H.264 Annex B)."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\x00\x00\x01", begin)
        unit = data[begin : at if at >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit


def access_unit(data: bytes, length_size: int) -> bytes:
    """A byte stream's access unit as in MP4: lengths in front, parameter sets and remarks left out."""
    units = [unit for unit in annex_b(data) if unit[0] & 0x1F not in (SEI, SPS, PPS, DELIMITER)]
    return prefixed(units, length_size)


def units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of an access unit in MP4; what is cut off is left out."""
    at = 0
    while at + length_size <= len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if length == 0 or at + length > len(data):
            return
        yield data[at : at + length]
        at += length


def sps_id(unit: bytes) -> int:
    """seq_parameter_set_id (7.3.2.1.1). Raises `BadParameters`."""
    return _bits_of(unit, 4).ue()


def pps_ids(unit: bytes) -> tuple[int, int]:
    """pic_parameter_set_id and seq_parameter_set_id (7.3.2.2). Raises `BadParameters`."""
    bits = _bits_of(unit, 1)
    return bits.ue(), bits.ue()


def _sets(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    found = []
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2], "big")
        unit = data[at + 2 : at + 2 + length]
        if len(unit) != length or not length:
            raise BadParameters("a parameter set is cut off")
        found.append(unit)
        at += 2 + length
    return tuple(found), at


def _bits_of(unit: bytes, begin: int) -> Bits:
    return Bits(plain(unit[begin : begin + 16]))


def prefixed(units: Iterable[bytes], size: int) -> bytes:
    """NAL units with their lengths in front."""
    return b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)
