"""Identifiers of Annex E: classified softly, counted up strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.gbid import (
    IdKind,
    IdProblem,
    Industry,
    Network,
    TypeCode,
    classify,
    compose,
    is_region,
    is_usable,
    successor,
    trim_region,
)


def test_a_camera_id_is_taken_apart() -> None:
    camera = classify("34020000001320000017")
    assert (camera.centre, camera.industry, camera.type_code) == ("34020000", "00", 132)
    assert (camera.network, camera.serial, camera.domain) == ("0", "000017", "3402000000")
    assert (camera.type, camera.civil_code, camera.problems) == (TypeCode.IP_CAMERA, "3402", ())


@pytest.mark.parametrize(
    "text", ["340200000013200000", "340200000013200000171", "camera-1", "3402000000132000001x"]
)
def test_an_id_of_another_shape_is_kept_with_its_problem(text: str) -> None:
    odd = classify(text)
    assert (odd.value, odd.type, odd.civil_code, odd.domain) == (text, None, None, None)
    assert odd.problems == (IdProblem.NOT_TWENTY_DIGITS,)


def test_an_unknown_type_and_an_empty_region_are_problems_not_refusals() -> None:
    odd = classify("00000000009990000001")
    assert odd.problems == (IdProblem.UNKNOWN_TYPE, IdProblem.NO_CIVIL_CODE)
    assert (odd.type, odd.type_code) == (None, 999)


@pytest.mark.parametrize("text", ["", "a b", "<x>", "1" * 33, "東", "1\n"])
def test_what_cannot_be_an_id_is_refused(text: str) -> None:
    assert not is_usable(text)
    with pytest.raises(ValueError):
        classify(text)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("34", True),
        ("340200", True),
        ("34020001", True),
        ("3", False),
        ("340", False),
        ("3402000000", False),
        ("ab", False),
    ],
)
def test_regions_have_2_4_6_or_8_digits(text: str, region: bool) -> None:
    assert is_region(text) is region


@pytest.mark.parametrize(
    ("centre", "code"),
    [("34000000", "34"), ("34020100", "340201"), ("34020101", "34020101"), ("00000000", None)],
)
def test_unused_levels_of_a_region_are_trimmed(centre: str, code: str | None) -> None:
    assert trim_region(centre) == code


@given(st.integers(0, 999_999), st.integers(0, 9), st.sampled_from(TypeCode))
def test_composed_ids_read_back(serial: int, network: int, type_code: TypeCode) -> None:
    made = classify(compose("3402000000", type_code, network, serial))
    assert (made.type, made.network, made.serial) == (type_code, str(network), f"{serial:06d}")


@pytest.mark.parametrize(
    ("domain", "network", "serial"),
    [("34", 0, 1), ("340200000x", 0, 1), ("3402000000", 10, 1), ("3402000000", 0, 10**6)],
)
def test_parts_that_do_not_fit_are_refused(domain: str, network: int, serial: int) -> None:
    with pytest.raises(ValueError):
        compose(domain, TypeCode.CAMERA, network, serial)


def test_ids_are_counted_up_to_the_end_of_their_serial() -> None:
    assert successor("34020000001320000009") == "34020000001320000010"
    assert successor("34020000001320000001", 5) == "34020000001320000006"
    with pytest.raises(ValueError):
        successor("34020000001320999999")
    with pytest.raises(ValueError):
        successor("camera-1")


@pytest.mark.parametrize(
    ("type_code", "kind"),
    [
        (111, IdKind.MAIN_DEVICE),
        (118, IdKind.MAIN_DEVICE),
        (121, IdKind.MAIN_DEVICE),
        (130, IdKind.MAIN_DEVICE),
        (132, IdKind.PERIPHERAL),
        (137, IdKind.PERIPHERAL),
        (143, IdKind.PERIPHERAL),
        (200, IdKind.PLATFORM),
        (216, IdKind.PLATFORM),
        (300, IdKind.CENTRE_USER),
        (400, IdKind.TERMINAL_USER),
        (505, IdKind.EXTERNAL),
        (0, IdKind.OTHER),
        (999, IdKind.OTHER),
    ],
)
def test_every_type_code_lies_in_a_range(type_code: int, kind: IdKind) -> None:
    assert classify(f"3402000000{type_code:03d}1000001").kind is kind


def test_a_code_without_a_name_in_a_known_range_is_no_problem() -> None:
    assert classify("34020000001251000001").problems == ()
    assert classify("34020000009991000001").problems == (IdProblem.UNKNOWN_TYPE,)


@pytest.mark.parametrize(
    ("digits", "group", "letter"),
    [
        ("00", Industry.PUBLIC_ORDER, None),
        ("05", Industry.TRAFFIC, None),
        ("14", Industry.CITY, None),
        ("40", Industry.NATIONAL, "A"),
        ("59", Industry.NATIONAL, "T"),
        ("90", Industry.CUSTOM, None),
        ("30", Industry.RESERVED, None),
    ],
)
def test_industry_digits(digits: str, group: Industry, letter: str | None) -> None:
    gb_id = classify(f"34020000{digits}1321000001")
    assert (gb_id.industry_group, gb_id.industry_letter) == (group, letter)


@pytest.mark.parametrize(
    ("digit", "network"),
    [
        (0, Network.VIDEO),
        (1, Network.VIDEO),
        (2, Network.INDUSTRY),
        (7, Network.INTERNET),
        (9, Network.RESERVED),
    ],
)
def test_network_digit(digit: int, network: Network) -> None:
    assert classify(f"3402000000132{digit}000001").network_kind is network


def test_an_identifier_of_another_form_has_no_parts() -> None:
    gb_id = classify("camera-1")
    assert (gb_id.kind, gb_id.industry_group, gb_id.network_kind) == (IdKind.OTHER, None, None)
