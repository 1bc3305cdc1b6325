"""The eight bytes of PTZ: vectors, bounds, and that writing and reading undo each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.ptz import (
    Aperture,
    Auxiliary,
    CruiseAdd,
    CruiseRemove,
    CruiseSpeed,
    CruiseStart,
    CruiseStay,
    Focus,
    Lens,
    Move,
    Pan,
    PresetAction,
    PresetCommand,
    PtzCommand,
    PtzError,
    PtzFault,
    Scan,
    ScanAction,
    ScanSpeed,
    Stop,
    Tilt,
    UnknownPtz,
    Zoom,
    decode_ptz,
    encode_ptz,
    read_ptz,
    write_ptz,
    zoom_speed,
)

VECTORS: list[tuple[PtzCommand, str]] = [
    (Stop(), "A50F0100000000B5"),
    (Move(tilt=Tilt.UP, tilt_speed=0x20), "A50F0108002000DD"),
    (Move(pan=Pan.LEFT, pan_speed=0xFF), "A50F0102FF0000B6"),
    (Move(pan=Pan.RIGHT, tilt=Tilt.DOWN, pan_speed=1, tilt_speed=2), "A50F0105010200BD"),
    (Move(zoom=Zoom.IN, zoom_speed=1), "A50F0110000010D5"),
    (Move(zoom=Zoom.OUT, zoom_speed=15), "A50F01200000F0C5"),
    (Lens(), "A50F0140000000F5"),
    (Lens(focus=Focus.NEAR, focus_speed=0x10), "A50F014210000007"),
    (Lens(aperture=Aperture.OPEN, aperture_speed=0x80), "A50F014400800079"),
    (PresetCommand(PresetAction.SET, 1), "A50F018100010037"),
    (PresetCommand(PresetAction.CALL, 1), "A50F018200010038"),
    (PresetCommand(PresetAction.DELETE, 255), "A50F018300FF0037"),
    (CruiseAdd(1, 2), "A50F01840102003C"),
    (CruiseRemove(1), "A50F01850100003B"),
    (CruiseSpeed(1, 0x123), "A50F01860123106F"),
    (CruiseStay(1, 4095), "A50F018701FFF02C"),
    (CruiseStart(1), "A50F01880100003E"),
    (Scan(1, ScanAction.RIGHT_EDGE), "A50F018901020041"),
    (ScanSpeed(1, 16), "A50F018A01100050"),
    (Auxiliary(1, True), "A50F018C01000042"),
    (Auxiliary(2, False), "A50F018D02000044"),
]

speeds = st.integers(0, 255)
commands: st.SearchStrategy[PtzCommand] = st.one_of(
    st.just(Stop()),
    st.builds(
        lambda pan, tilt, zoom, one, two, three: (
            Move(
                pan=pan,
                tilt=tilt,
                zoom=zoom,
                pan_speed=one if pan is not Pan.NONE else 0,
                tilt_speed=two if tilt is not Tilt.NONE else 0,
                zoom_speed=three if zoom is not Zoom.NONE else 0,
            )
            if (pan, tilt, zoom) != (Pan.NONE, Tilt.NONE, Zoom.NONE)
            else Stop()
        ),
        st.sampled_from(Pan),
        st.sampled_from(Tilt),
        st.sampled_from(Zoom),
        speeds,
        speeds,
        st.integers(0, 15),
    ),
    st.builds(PresetCommand, st.sampled_from(PresetAction), st.integers(1, 255)),
    st.builds(CruiseAdd, speeds, st.integers(1, 255)),
    st.builds(CruiseRemove, speeds, speeds),
    st.builds(CruiseSpeed, speeds, st.integers(0, 4095)),
    st.builds(CruiseStay, speeds, st.integers(0, 4095)),
    st.builds(CruiseStart, speeds),
    st.builds(Scan, speeds, st.sampled_from(ScanAction)),
    st.builds(ScanSpeed, speeds, st.integers(0, 4095)),
    st.builds(Auxiliary, speeds, st.booleans()),
)


@pytest.mark.parametrize(("command", "code"), VECTORS)
def test_a_command_is_written_as_its_vector(command: PtzCommand, code: str) -> None:
    assert write_ptz(command) == code


@pytest.mark.parametrize(("command", "code"), VECTORS)
def test_a_vector_is_read_as_its_command(command: PtzCommand, code: str) -> None:
    assert read_ptz(code) == command
    assert read_ptz(code.lower()) == command


@given(commands, st.integers(0, 4095))
def test_what_is_written_is_read_back_whatever_the_address(command: PtzCommand, address: int) -> None:
    assert decode_ptz(encode_ptz(command, address)) == command


@given(st.binary(min_size=6, max_size=6))
def test_any_bytes_with_a_right_checksum_mean_something_and_keep_their_meaning(middle: bytes) -> None:
    first = b"\xa5" + middle
    command = decode_ptz(first + bytes((sum(first) & 0xFF,)))
    assert decode_ptz(encode_ptz(command)) == command


def test_both_directions_of_an_axis_at_once_are_unknown_not_a_movement() -> None:
    assert read_ptz(write_ptz(UnknownPtz(0x03, 1, 1, 0))) == UnknownPtz(0x03, 1, 1, 0)
    assert read_ptz(write_ptz(UnknownPtz(0x4C, 0, 1, 0))) == UnknownPtz(0x4C, 0, 1, 0)


def test_a_preset_zero_is_unknown() -> None:
    assert isinstance(read_ptz(write_ptz(UnknownPtz(0x82, 0, 0, 0))), UnknownPtz)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("", PtzFault.WRONG_LENGTH),
        ("A50F01", PtzFault.WRONG_LENGTH),
        ("A50F0100000000B5FF", PtzFault.WRONG_LENGTH),
        ("A50F0100000000BX", PtzFault.NOT_HEX),
        ("A5 F0100000000B5", PtzFault.NOT_HEX),
        ("A60F0100000000B6", PtzFault.WRONG_START),
        ("A50F0100000000B6", PtzFault.WRONG_CHECKSUM),
    ],
)
def test_a_code_that_is_none_is_refused_with_its_fault(code: str, fault: PtzFault) -> None:
    with pytest.raises(PtzError) as caught:
        read_ptz(code)
    assert caught.value.fault is fault


@pytest.mark.trap(50)
def test_a_small_zoom_speed_never_becomes_zero() -> None:
    assert [zoom_speed(speed) for speed in (0, 1, 8, 17, 128, 255)] == [0, 1, 1, 1, 8, 15]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Move(),
        lambda: Move(pan=Pan.LEFT, pan_speed=256),
        lambda: Move(zoom=Zoom.IN, zoom_speed=16),
        lambda: PresetCommand(PresetAction.SET, 0),
        lambda: PresetCommand(PresetAction.SET, 256),
        lambda: CruiseStay(1, 4096),
        lambda: zoom_speed(-1),
        lambda: encode_ptz(Stop(), 4096),
    ],
)
def test_values_that_do_not_fit_their_bits_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError):
        make()
