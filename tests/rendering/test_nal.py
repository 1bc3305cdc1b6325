"""Parameter sets of H.264 in MP4: read, joined, and refused when they are not what they should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.rendering.bits import BadParameters
from commonview.rendering.nal import (
    AvcConfiguration,
    access_unit,
    annex_b,
    pps_ids,
    sps_id,
    units,
)

SPS = bytes.fromhex("67640015acd9405005bb0110000003001000000303c0f162d960")
PPS = bytes.fromhex("68ebe3cb22c0")
# sps-id 1: as x264 writes it, `010` in front where there was `1`
OTHER_SPS = bytes.fromhex("676400154b36") + SPS[6:]
OTHER_PPS = bytes.fromhex("684bb8f2c8b0")
PLAIN = AvcConfiguration(100, 0, 21, 4, (SPS,), (PPS,), b"")


def test_what_is_written_is_read_again() -> None:
    assert AvcConfiguration.parse(PLAIN.encode()) == PLAIN


def test_ids_are_read() -> None:
    assert (sps_id(SPS), pps_ids(PPS)) == (0, (0, 0))
    assert (sps_id(OTHER_SPS), pps_ids(OTHER_PPS)) == (1, (1, 1))


def test_an_id_is_chosen_that_nobody_has() -> None:
    assert PLAIN.free_id() == 1
    assert PLAIN.joined([OTHER_SPS], [OTHER_PPS]).free_id() == 2


def test_joined_it_demands_what_the_most_demanding_does() -> None:
    high = bytes([0x67, 100, 0, 42]) + SPS[4:]
    joined = PLAIN.joined([high], [OTHER_PPS])
    assert (joined.level, joined.sps, joined.pps) == (42, (SPS, high), (PPS, OTHER_PPS))
    assert AvcConfiguration.parse(joined.encode()) == joined


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for content in (data, PLAIN.encode()[: len(data)], PLAIN.encode()[:6] + data):
        try:
            found = AvcConfiguration.parse(content)
            found.free_id()
        except BadParameters:
            continue
        assert AvcConfiguration.parse(found.encode()) == found


@given(
    st.lists(
        st.binary(min_size=1, max_size=20).map(lambda one: b"\x65" + one.replace(b"\x00", b"\x01")),
        max_size=4,
    )
)
def test_an_access_unit_keeps_its_slices(slices: list[bytes]) -> None:
    stream = b"\x00\x00\x00\x01" + SPS + b"".join(b"\x00\x00\x01" + one for one in slices)
    assert list(annex_b(stream)) == [SPS, *slices]
    assert list(units(access_unit(stream, 4), 4)) == slices


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4]))
def test_units_that_are_cut_off_are_left_out(data: bytes, size: int) -> None:
    for unit in units(data, size):
        assert unit
        assert unit in data


def test_too_many_ids_are_refused() -> None:
    full = AvcConfiguration(100, 0, 21, 4, (SPS,), tuple(bytes([0x68]) + _ue(n) for n in range(1, 32)), b"")
    with pytest.raises(BadParameters):
        full.free_id()


def _ue(value: int) -> bytes:
    bits = f"{value + 1:b}"
    text = "0" * (len(bits) - 1) + bits + "11"
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big") + b"\x80"
