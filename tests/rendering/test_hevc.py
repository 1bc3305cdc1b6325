"""Parameter sets of H.265: read, given other ids, joined; slices that name them; refused when damaged."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonview.rendering import hevc, nal
from commonview.rendering.bits import BadParameters, Bits, escaped, octets, plain, ue
from commonview.rendering.hevc import HevcConfiguration, Ids
from commonview.rendering.joints import HevcJoint

# x265: 1280x720, Main, level 3.1.
SPS = bytes.fromhex("420101016000000300900000030000" + "03005da00280802d165959a4932bc05a70800001f480003a9804")
OTHER = Ids(3, 2, 17)


@functools.cache
def encoded() -> tuple[bytes, tuple[bytes, ...]]:
    """Parameter sets of an encoder and a few of its pictures, as byte streams."""
    encoder: Any = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 128, 64, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.flags |= 1 << 22
    encoder.options = {"tune": "zerolatency", "x265-params": "log-level=none:info=0:pools=none"}
    encoder.open()
    packets = []
    for number in range(6):
        frame = av.VideoFrame(128, 64, "yuv420p")
        for place, plane in enumerate(frame.planes):
            content = bytes((at * (number + 3) * (place + 1) // 7) % 251 for at in range(plane.buffer_size))
            plane.update(content)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return encoder.extradata, tuple(bytes(one) for one in packets)


def sets() -> dict[int, bytes]:
    return {hevc.kind_of(one): one for one in nal.annex_b(encoded()[0]) if not hevc.is_picture(one)}


def configuration(of: Ids | None = None) -> HevcConfiguration:
    units = [sets()[kind] for kind in (hevc.VPS, hevc.SPS, hevc.PPS)]
    if of is not None:
        units = [of.given_to(one) for one in units]
    general = plain(units[1])[3:15]
    arrays = tuple((0x80 | hevc.kind_of(one), (one,)) for one in units)
    return HevcConfiguration(general, 0, 0, 1, 8, 8, 0, 0x0F, arrays)


def decoded(stream: bytes) -> list[bytes]:
    """The pictures of a byte stream, as a decoder that forgives nothing sees them."""
    decoder: Any = av.CodecContext.create("hevc", "r")
    decoder.options = {"err_detect": "explode"}
    frames = []
    for packet in [*decoder.parse(stream), *decoder.parse(b"")]:
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    return [bytes(frame.to_ndarray()) for frame in frames]


def stream_of(units: list[bytes]) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + one for one in units)


def test_what_is_written_is_read_again() -> None:
    found = HevcConfiguration.parse(configuration().encode())
    assert found == configuration()
    assert (found.length_size, found.profile) == (4, 1)


def test_ids_are_read_and_given() -> None:
    assert hevc.sps_id(SPS) == 0
    other = OTHER.given_to(SPS)
    assert (hevc.sps_id(other), other[:2]) == (2, SPS[:2])
    assert Ids(0, 0, 0).given_to(other) == SPS
    found = configuration(OTHER)
    assert [hevc.vps_id(one) for one in found.units(hevc.VPS)] == [3]
    assert [hevc.sps_id(one) for one in found.units(hevc.SPS)] == [2]
    assert [hevc.pps_id(one) for one in found.units(hevc.PPS)] == [17]


def test_free_ids_are_those_that_nobody_has_and_move_slices_by_an_octet() -> None:
    assert Ids.free(configuration()) == Ids(1, 1, 15)
    assert Ids.free(configuration(Ids(1, 1, 15))) == Ids(0, 0, 16)
    for number in range(64):
        taken = configuration().joined(Ids(0, 0, number).given_to(one) for one in [sets()[hevc.PPS]])
        assert len(ue(Ids.free(taken).pps)) == 9


def test_pictures_with_other_ids_are_the_same_pictures() -> None:
    headers, pictures = encoded()
    units = [one for data in (headers, *pictures) for one in nal.annex_b(data)]
    other = [OTHER.given_to(one) for one in units]
    assert [hevc.kind_of(one) for one in other] == [hevc.kind_of(one) for one in units]
    shown = decoded(stream_of(units))
    assert len(shown) == len(pictures)
    assert decoded(stream_of(other)) == shown


def test_pictures_of_both_stand_behind_one_another() -> None:
    headers, pictures = encoded()
    joint = HevcJoint(configuration().encode())
    assert joint.takes("yuv420p")
    joined = HevcConfiguration.parse(joint.join(headers))
    heads = [one for kind in (hevc.VPS, hevc.SPS, hevc.PPS) for one in joined.units(kind)]
    assert len(heads) == 6
    edge = [one for data in pictures for one in nal.units(joint.access_unit(data), 4)]
    plain_units = [one for data in pictures for one in nal.annex_b(data) if hevc.is_picture(one)]
    shown = decoded(stream_of([*heads, *plain_units]))
    assert decoded(stream_of([*heads, *edge, *plain_units, *edge])) == shown * 3


def test_joined_it_demands_what_the_most_demanding_does() -> None:
    plain_one = configuration()
    high = bytearray(sets()[hevc.SPS])
    content = bytearray(plain(bytes(high[2:])))
    content[1] |= 0x20  # the high tier
    content[12] = 153
    demanding = Ids(1, 1, 15).given_to(bytes(high[:2]) + escaped(bytes(content)))
    joined = plain_one.joined([demanding])
    assert (joined.general[0] & 0x20, joined.general[11]) == (0x20, 153)
    assert [hevc.sps_id(one) for one in joined.units(hevc.SPS)] == [0, 1]
    assert HevcConfiguration.parse(joined.encode()) == joined


def test_a_slice_that_names_another_set_is_refused() -> None:
    unit = next(one for one in nal.annex_b(encoded()[1][0]) if hevc.kind_of(one) in hevc.IDR)
    with pytest.raises(BadParameters):
        Ids(0, 0, 16).given_to(OTHER.given_to(unit))


def test_too_many_ids_are_refused() -> None:
    many = [Ids(0, 0, number).given_to(sets()[hevc.PPS]) for number in range(15, 31)]
    with pytest.raises(BadParameters):
        Ids.free(configuration().joined(many))


@given(st.binary(max_size=200))
def test_emulation_prevention_is_put_in_and_taken_out(data: bytes) -> None:
    ends = data.rstrip(b"\x00") + b"\x80"
    there = escaped(ends)
    assert plain(there) == ends
    for code in (b"\x00\x00\x00", b"\x00\x00\x01", b"\x00\x00\x02"):
        assert code not in there


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=40))
def test_zeros_in_a_row_are_kept_apart(values: list[int]) -> None:
    data = bytes(values) + b"\x80"
    assert plain(escaped(data)) == data


@given(st.lists(st.integers(0, 2**16 - 1), max_size=30))
def test_numbers_are_read_as_they_were_written(values: list[int]) -> None:
    bits = Bits(octets("".join(ue(value) for value in values) + "1"))
    assert [bits.ue() for _ in values] == values


@given(
    st.sampled_from([0, 1, 9, 16, 19, 21]),
    st.lists(st.sampled_from([0, 1, 3, 255]), min_size=1, max_size=30).map(bytes),
    st.integers(15, 30),
)
def test_behind_the_id_of_a_slice_nothing_changes(kind: int, content: bytes, number: int) -> None:
    flags = 2 if kind >= 16 else 1
    first = content[0] | 1 << (7 - flags)  # the id 0
    body = bytes([first, *content[1:]]) + b"\x80"
    unit = bytes([kind << 1, 1]) + escaped(body)
    other = plain(Ids(0, 0, number).given_to(unit)[2:])
    bits, source = Bits(other), Bits(body)
    assert bits.u(flags) == source.u(flags)
    assert (bits.ue(), source.ue()) == (number, 0)
    assert bits.rest == source.rest
    assert len(other) == len(body) + 1


@settings(max_examples=300)
@given(st.binary(max_size=120), st.integers(0, 300))
def test_whatever_comes_is_read_or_refused(data: bytes, cut: int) -> None:
    whole = configuration().encode()
    for content in (data, whole[:cut], whole[:23] + data, whole[:cut] + data + whole[cut:]):
        try:
            found = HevcConfiguration.parse(content)
            Ids.free(found)
        except BadParameters:
            continue
        assert HevcConfiguration.parse(found.encode()) == found


@given(st.sampled_from([0, 1, 8, 19, 21, 32, 33, 34, 39, 63]), st.binary(max_size=60))
def test_whatever_unit_comes_is_given_ids_or_refused(kind: int, data: bytes) -> None:
    unit = bytes([kind << 1, 1]) + data
    try:
        other = OTHER.given_to(unit)
    except BadParameters:
        return
    assert other[:2] == unit[:2]
