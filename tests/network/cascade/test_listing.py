"""Items of a catalogue upward, by edition and directory: pure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from commonview.network.cascade.listing import (
    Known,
    channel_item,
    event_item,
    group_item,
    platform_item,
    region_item,
)
from commonview.network.cascade.model import Edition, SuperiorSettings, VirtualDirectory
from commonview.network.tree import Group
from commonview.wire.manscdp import Catalog, decode, encode

LOCAL = "34020100002000000002"
BUSINESS = "34020100002150000001"
NIGHT, EAST = "34020100002160000001", "34020100002160000002"
LINES = {BUSINESS: (BUSINESS,), NIGHT: (NIGHT, BUSINESS), EAST: (EAST, NIGHT, BUSINESS)}
THEN = datetime(2026, 11, 22, tzinfo=UTC)


def settings(edition: Edition = Edition.GB2022, directory: VirtualDirectory = VirtualDirectory.GROUPS) -> Any:
    return SuperiorSettings(
        name="city",
        server_id="34020000002000000001",
        server_domain="3402000000",
        host="192.0.2.1",
        port=5060,
        local_id=LOCAL,
        edition=edition,
        directory=directory,
    )


def row(**more: object) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "东门",
        "given_name": None,
        "manufacturer": "",
        "model": "",
        "region": "340201",
        "civil_code": "340201",
        "block": "",
        "place": "",
        "given_place": None,
        "longitude": 117.2,
        "latitude": 31.8,
        "given_longitude": None,
        "given_latitude": None,
        "register_way": None,
        "secrecy": None,
        "ptz_type": 1,
    }
    return base | more


def item(
    edition: Edition, groups: tuple[str, ...], directory: VirtualDirectory = VirtualDirectory.GROUPS
) -> Any:
    known = Known("34020100001320000007", None, True, groups)
    return channel_item(settings(edition, directory), row(), known, lambda one: LINES.get(one, ()))


def test_the_platform_comes_first_and_has_no_parent() -> None:
    platform = platform_item(settings(), "Commonview", "Commonview")
    assert (platform.device_id, platform.parent_ids, platform.parental) == (LOCAL, (), True)


@pytest.mark.trap(31)
def test_several_parents_are_told_to_2022_and_one_to_2016() -> None:
    groups = (NIGHT, EAST)
    assert item(Edition.GB2022, groups).parent_ids == (LOCAL, NIGHT, EAST)
    assert item(Edition.GB2016, groups).parent_ids == (NIGHT,)
    assert {item(edition, groups).business_group_id for edition in Edition} == {BUSINESS}


@pytest.mark.trap(31)
@pytest.mark.parametrize(
    ("edition", "group", "parents"),
    [
        (Edition.GB2022, NIGHT, ()),
        (Edition.GB2022, EAST, (NIGHT,)),
        (Edition.GB2016, NIGHT, (BUSINESS,)),
        (Edition.GB2016, EAST, (NIGHT,)),
    ],
)
def test_an_organisation_names_its_parent_by_the_edition(
    edition: Edition, group: str, parents: tuple[str, ...]
) -> None:
    made = Group(group, LINES[group][1], "night", THEN)
    told = group_item(settings(edition), made, LINES[group])
    assert (told.parent_ids, told.business_group_id) == (parents, BUSINESS)


def test_a_business_group_lies_in_the_system_and_a_region_is_bare() -> None:
    assert group_item(settings(), Group(BUSINESS, "", "g", THEN), (BUSINESS,)).parent_ids == (LOCAL,)
    region = region_item("3402", "")
    assert (region.device_id, region.name, region.parent_ids, region.status) == ("3402", "3402", (), "")


def test_without_groups_a_camera_lies_in_the_system() -> None:
    told = item(Edition.GB2022, (NIGHT,), VirtualDirectory.REGIONS)
    assert (told.parent_ids, told.business_group_id, told.civil_code) == ((LOCAL,), "", "340201")


@pytest.mark.parametrize("charset", ["GB2312", "GB18030", "UTF-8"])
def test_an_item_reads_as_it_was_written(charset: str) -> None:
    told = item(Edition.GB2022, (NIGHT,))
    page = Catalog(sn=1, device_id=LOCAL, sum_num=1, items=(told,))
    read = decode(encode(page, charset))
    assert isinstance(read, Catalog)
    assert read.items[0].name == "东门"
    assert read.items[0].parent_ids == (LOCAL, NIGHT)


@pytest.mark.trap(30)
def test_states_are_told_in_the_words_of_the_standard() -> None:
    known = Known("34020100001320000007", None, False, ())
    off = channel_item(settings(), row(), known, lambda _one: ())
    assert (off.status, event_item("1", "ON").status, event_item("1", "DEL").status) == ("OFF", "ON", "")
