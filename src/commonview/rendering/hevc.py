"""H.265 in MP4: parameter sets given other ids, slices that name them, and both sides' sets in one `hvcC`.

Encoders of H.265 do not let the ids of their parameter sets be chosen, so they are written anew. In a set
that is a few bits. In a slice (7.3.6.1) the id stands in front of a header of any number of bits, and CABAC
data behind that begins at an octet. So an id is taken whose Exp-Golomb form is exactly one octet longer than
what stood there: everything behind it moves by one octet and stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from commonview.rendering.bits import BadParameters, Bits, escaped, octets, plain, ue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

RASL: Final = (8, 9)
IDR: Final = (19, 20)
VPS: Final = 32
SPS: Final = 33
PPS: Final = 34
_SETS: Final = (VPS, SPS, PPS)
_DELIMITER: Final = 35
_SEI: Final = (39, 40)
_IRAP: Final = range(16, 24)
_SLICES: Final = (*range(10), *range(16, 22))
_MOST_OCTETS: Final = 4096
"""A parameter set of this size is none."""
_VPS_IDS: Final = range(16)
_SPS_IDS: Final = range(16)
_PPS_IDS: Final = range(64)
_HEAD: Final = 23
"""Octets of an `hvcC` before its arrays."""
_GENERAL: Final = slice(3, 15)
"""Where a sequence parameter set without sub-layers says profile, tier and level (7.3.2.2.1)."""


@dataclass(frozen=True, slots=True)
class HevcConfiguration:
    """An `hvcC` (ISO/IEC 14496-15, 8.3.3.1)."""

    general: bytes
    """Profile, compatibility, constraints and level: 12 octets, as in a parameter set."""
    segmentation: int
    parallelism: int
    chroma: int
    luma_depth: int
    chroma_depth: int
    rate: int
    layers: int
    """constantFrameRate, numTemporalLayers, temporalIdNested, lengthSizeMinusOne."""
    arrays: tuple[tuple[int, tuple[bytes, ...]], ...]
    """Completeness and type in one octet, and the units."""

    @classmethod
    def parse(cls, data: bytes) -> HevcConfiguration:
        """Raises `BadParameters`."""
        if len(data) < _HEAD or data[0] != 1:
            raise BadParameters("no hvcC of version 1")
        arrays, at = [], _HEAD
        for _ in range(data[_HEAD - 1]):
            units, following = _units_of(data, at)
            arrays.append((data[at] & 0xBF, units))
            at = following
        if at != len(data) or len({kind & 0x3F for kind, _ in arrays}) != len(arrays):
            raise BadParameters("the arrays of the hvcC are not what they should be")
        return cls(
            data[1:13],
            int.from_bytes(data[13:15], "big") & 0xFFF,
            data[15] & 3,
            data[16] & 3,
            (data[17] & 7) + 8,
            (data[18] & 7) + 8,
            int.from_bytes(data[19:21], "big"),
            data[21],
            tuple(arrays),
        )

    def encode(self) -> bytes:
        """As octets."""
        head = bytes([1, *self.general, *(0xF000 | self.segmentation).to_bytes(2, "big")])
        head += bytes([0xFC | self.parallelism, 0xFC | self.chroma])
        head += bytes([0xF8 | (self.luma_depth - 8), 0xF8 | (self.chroma_depth - 8)])
        head += self.rate.to_bytes(2, "big") + bytes([self.layers, len(self.arrays)])
        for kind, units in self.arrays:
            head += bytes([kind]) + len(units).to_bytes(2, "big")
            head += b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
        return head

    @property
    def length_size(self) -> int:
        """Octets of the length in front of a NAL unit."""
        return (self.layers & 3) + 1

    @property
    def profile(self) -> int:
        """general_profile_idc."""
        return self.general[0] & 0x1F

    def units(self, kind: int) -> Iterator[bytes]:
        """Its parameter sets of a type."""
        for one, units in self.arrays:
            if one & 0x3F == kind:
                yield from units

    def joined(self, sets: Iterable[bytes]) -> HevcConfiguration:
        """With further parameter sets: what holds for all of them, and the level of the most demanding."""
        more = tuple(sets)
        general = self.general
        for sps in (one for one in more if kind_of(one) == SPS):
            general = _common(general, plain(sps)[_GENERAL])
        arrays = dict(self.arrays)
        for kind in _SETS:
            place = next((one for one in arrays if one & 0x3F == kind), 0x80 | kind)
            arrays[place] = arrays.get(place, ()) + tuple(one for one in more if kind_of(one) == kind)
        # Nothing is known any more of how all pictures are divided, and how many there are in a second.
        layers = self.layers & 0x3F
        return replace(
            self,
            general=general,
            segmentation=0,
            parallelism=0,
            rate=0,
            layers=layers,
            arrays=tuple(arrays.items()),
        )


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of a video, a sequence and a picture parameter set."""

    vps: int
    sps: int
    pps: int

    @classmethod
    def free(cls, configuration: HevcConfiguration) -> Ids:
        """Such as nobody there has. Raises `BadParameters`."""
        return cls(
            _free((vps_id(one) for one in configuration.units(VPS)), _VPS_IDS),
            _free((sps_id(one) for one in configuration.units(SPS)), _SPS_IDS),
            _free((pps_id(one) for one in configuration.units(PPS)), [n for n in _PPS_IDS if _is_longer(n)]),
        )

    def given_to(self, unit: bytes) -> bytes:
        """A parameter set or slice of one encoder with these ids for its own. Raises `BadParameters`."""
        kind = kind_of(unit)
        if kind in _SETS and len(unit) > _MOST_OCTETS:
            raise BadParameters("no parameter set is so long")
        if kind == VPS:
            return _rewritten(unit, self._in_vps)
        if kind == SPS:
            return _rewritten(unit, self._in_sps)
        if kind == PPS:
            return _rewritten(unit, self._in_pps)
        if kind in _SLICES:
            return self._in_slice(unit)
        return unit

    def _in_vps(self, bits: Bits) -> str:
        bits.u(4)
        return f"{self.vps:04b}{bits.rest}"

    def _in_sps(self, bits: Bits) -> str:
        bits.u(4)
        _skip_to_sps_id(bits)
        between = bits.read[4:]
        bits.ue()
        return f"{self.vps:04b}{between}{ue(self.sps)}{bits.rest}"

    def _in_pps(self, bits: Bits) -> str:
        bits.ue()
        bits.ue()
        return ue(self.pps) + ue(self.sps) + bits.rest

    def _in_slice(self, unit: bytes) -> bytes:
        content = plain(unit[2:])
        bits = Bits(content[:2])
        flags = 2 if kind_of(unit) in _IRAP else 1  # first_slice_segment_in_pic_flag, no_output_of_prior_pics
        bits.u(flags)
        before = bits.read
        if bits.ue() != 0:
            raise BadParameters("a slice names another parameter set than was expected")
        return unit[:2] + escaped(octets(before + ue(self.pps) + bits.rest) + content[2:])


def kind_of(unit: bytes) -> int:
    """nal_unit_type (7.3.1.2)."""
    return unit[0] >> 1 & 0x3F


def is_picture(unit: bytes) -> bool:
    """Whether it belongs to the picture itself: no parameter set, remark or delimiter."""
    return kind_of(unit) not in (*_SETS, *_SEI, _DELIMITER)


def vps_id(unit: bytes) -> int:
    """vps_video_parameter_set_id (7.3.2.1). Raises `BadParameters`."""
    return _bits_of(unit).u(4)


def sps_id(unit: bytes) -> int:
    """sps_seq_parameter_set_id (7.3.2.2.1). Raises `BadParameters`."""
    bits = _bits_of(unit)
    bits.u(4)
    _skip_to_sps_id(bits)
    return bits.ue()


def pps_id(unit: bytes) -> int:
    """pps_pic_parameter_set_id (7.3.2.3.1). Raises `BadParameters`."""
    return _bits_of(unit).ue()


def _bits_of(unit: bytes) -> Bits:
    return Bits(plain(unit[2 : 2 + 256]))


def _skip_to_sps_id(bits: Bits) -> None:
    """Sub-layers, nesting and profile_tier_level (7.3.3)."""
    below = bits.u(3)
    bits.u(1 + 96)
    present = [(bits.u(1), bits.u(1)) for _ in range(below)]
    if below:
        bits.u((8 - below) * 2)
    for profile, level in present:
        bits.u(88 * profile + 8 * level)


def _rewritten(unit: bytes, rewrite: Callable[[Bits], str]) -> bytes:
    """A parameter set with other bits in front; its end stands where the last one is (7.3.2.11)."""
    digits = rewrite(Bits(plain(unit[2:]))).rstrip("0")
    if not digits:
        raise BadParameters("a parameter set is empty")
    return unit[:2] + escaped(octets(digits))


def _is_longer(number: int) -> bool:
    """Whether an id takes exactly one octet more than the id 0."""
    return len(ue(number)) == len(ue(0)) + 8


def _free(taken: Iterable[int], ids: Iterable[int]) -> int:
    known = set(taken)
    found = next((number for number in ids if number not in known), None)
    if found is None:
        raise BadParameters("every id is taken")
    return found


def _common(one: bytes, other: bytes) -> bytes:
    """Profile, tier and level of pictures of both."""
    if len(other) != len(one) or one[0] & 0xC0 != other[0] & 0xC0:
        raise BadParameters("profiles of different kinds")
    tier_and_profile = (one[0] & 0xC0) | max(one[0] & 0x20, other[0] & 0x20)
    tier_and_profile |= max(one[0] & 0x1F, other[0] & 0x1F)
    shared = bytes(a & b for a, b in zip(one[1:11], other[1:11], strict=True))
    return bytes([tier_and_profile]) + shared + bytes([max(one[11], other[11])])


def _units_of(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    """The units of the array that begins here, and where the next one does."""
    count = int.from_bytes(data[at + 1 : at + 3], "big")
    at += 3
    found = []
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2], "big")
        unit = data[at + 2 : at + 2 + length]
        if len(unit) != length or length < 3:
            raise BadParameters("a parameter set is cut off")
        found.append(unit)
        at += 2 + length
    if at > len(data):
        raise BadParameters("the hvcC is cut off")
    return tuple(found), at
