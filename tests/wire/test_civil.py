"""Civil codes as a tree."""

import pytest

from commonview.wire.civil import (
    PROVINCES,
    CivilLevel,
    ancestors_of,
    civil_code,
    level_of,
    parent_of,
    province_of,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("34", "34"),
        ("3402", "3402"),
        ("340200", "3402"),
        ("340203", "340203"),
        ("34020300", "340203"),
        ("34020301", "34020301"),
        ("34020001", "34020001"),
        ("34020000001320000001", "3402"),
        (" 3402 ", "3402"),
        ("00", None),
        ("99", None),
        ("3", None),
        ("340", None),
        ("3402030", None),
        ("", None),
        ("安徽", None),
        ("３４", None),
    ],
)
def test_a_code_is_brought_to_its_shortest_form(text: str, code: str | None) -> None:
    assert civil_code(text) == code


def test_the_tree_leads_from_a_division_up_to_its_province() -> None:
    assert ancestors_of("34020301") == ("34", "3402", "340203")
    assert ancestors_of("34") == ()
    assert parent_of("34020001") == "3402"
    assert [level_of(each) for each in ("34", "3402", "340203", "34020301")] == list(CivilLevel)


@pytest.mark.parametrize("code", ["3400", "", "x", "99", "34020300"])
def test_a_code_that_is_not_shortest_has_no_place_in_the_tree(code: str) -> None:
    with pytest.raises(ValueError):
        level_of(code)


def test_all_34_divisions_of_the_first_level_are_named_in_both_languages() -> None:
    assert len(PROVINCES) == 34
    assert (
        len({each.name_zh for each in PROVINCES.values()} | {each.name_en for each in PROVINCES.values()})
        == 68
    )
    anhui = province_of("34020000001320000001")
    assert anhui is not None
    assert (anhui.name_zh, anhui.name_en) == ("安徽省", "Anhui")
    assert province_of("99") is None
