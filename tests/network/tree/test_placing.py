import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.network.channels import kind_of
from commonview.network.tree.counts import NO_REGION, Count, NodeCounts, region_ancestors
from commonview.network.tree.placing import Facts, Placing, Structure, arrange, region_of

PLATFORM = "33010000002000000001"
SYSTEM = "33010000002000000002"
GROUP = "33010000002150000001"
ORG = "33010000002160000001"
INNER = "33010000002160000002"
NVR = "33010000001180000001"
CAMERA = "33010200001320000001"
OTHER = "33010200001320000002"


def item(gb_id: str, parent: str = "", group: str = "", civil: str = "", *, on: bool = True) -> Facts:
    return Facts(gb_id, kind_of(gb_id), parent, group, civil, on, True)


def placed(*items: Facts) -> Structure:
    return arrange(PLATFORM, items)


def test_a_system_is_a_subtree_and_a_business_group_hangs_under_it() -> None:
    structure = placed(item(SYSTEM, PLATFORM), item(GROUP, SYSTEM), item(ORG, group=GROUP), item(CAMERA, ORG))
    assert structure.places == {
        SYSTEM: Placing(""),
        GROUP: Placing(SYSTEM),
        ORG: Placing(GROUP),
        CAMERA: Placing(ORG),
    }
    assert structure.below == {SYSTEM: (1, 1), GROUP: (1, 1), ORG: (1, 1)}


def test_an_organisation_hangs_under_its_organisation_and_only_else_under_its_group() -> None:
    structure = placed(item(GROUP), item(ORG, group=GROUP), item(INNER, ORG, GROUP))
    assert structure.places[ORG] == Placing(GROUP)
    assert structure.places[INNER] == Placing(ORG)


def test_an_organisation_of_2016_names_its_group_as_its_parent() -> None:
    assert placed(item(GROUP), item(ORG, GROUP, GROUP)).places[ORG] == Placing(GROUP)


@pytest.mark.trap(31)
def test_a_camera_with_several_parents_hangs_under_each_and_counts_once_above_them() -> None:
    structure = placed(
        item(GROUP),
        item(ORG, group=GROUP),
        item(INNER, group=GROUP),
        item(NVR),
        item(CAMERA, f"{NVR}/{ORG}/{INNER}"),
    )
    assert structure.places[CAMERA] == Placing(NVR, (ORG, INNER))
    assert structure.below == {NVR: (1, 1), ORG: (1, 1), INNER: (1, 1), GROUP: (1, 1)}


def test_regions_hang_under_the_nearest_longer_region_that_is_listed() -> None:
    structure = placed(item("33"), item("330102"), item(CAMERA, civil="33010201"), item(OTHER, civil="3302"))
    assert structure.places["330102"] == Placing("33")
    assert structure.places[CAMERA] == Placing("330102")
    assert structure.places[OTHER] == Placing("33")


def test_the_platform_itself_as_first_item_is_the_root_and_no_child_of_its_own() -> None:
    structure = placed(item(PLATFORM), item(CAMERA, PLATFORM))
    assert structure.places == {CAMERA: Placing("")}


@pytest.mark.trap(17)
def test_a_parent_that_is_not_listed_does_not_hide_its_children() -> None:
    assert placed(item(CAMERA, "33010000001180000999")).places[CAMERA] == Placing("")


def test_a_circle_is_opened_at_the_root() -> None:
    structure = placed(item(ORG, INNER), item(INNER, ORG), item(CAMERA, INNER))
    assert "" in {structure.places[ORG].first, structure.places[INNER].first}
    assert structure.below == {ORG: (1, 1), INNER: (1, 1)} or structure.below == {INNER: (1, 1)}


def test_a_camera_that_is_off_or_gone_counts_accordingly() -> None:
    gone = item(OTHER, ORG)._replace(counted=False)
    assert placed(item(ORG), item(CAMERA, ORG, on=False), gone).below == {ORG: (1, 0)}


IDS = st.sampled_from([f"3301000000216000000{number}" for number in range(6)])


@given(links=st.dictionaries(IDS, st.lists(IDS, max_size=3), max_size=6))
def test_from_everything_the_first_parents_lead_to_the_root(links: dict[str, list[str]]) -> None:
    structure = placed(*(item(gb_id, "/".join(parents)) for gb_id, parents in links.items()))
    for gb_id in links:
        at, steps = gb_id, 0
        while at:
            at, steps = structure.places[at].first, steps + 1
            assert steps <= len(links)


@pytest.mark.parametrize(
    ("gb_id", "civil", "region"),
    [
        (CAMERA, "330106", "330106"),
        (CAMERA, "33010600", "330106"),
        (CAMERA, "", "330102"),
        (CAMERA, "nonsense", "330102"),
        (CAMERA, "3301065", "330102"),
        ("camera-1", "", ""),
    ],
)
def test_the_region_is_the_told_one_else_the_one_in_the_id(gb_id: str, civil: str, region: str) -> None:
    assert region_of(gb_id, civil) == region


def test_counts_follow_what_devices_have_and_whether_they_are_there() -> None:
    counts = NodeCounts(region_ancestors)
    counts.put("a", (("330102", 10, 8), ("", 1, 1)))
    counts.put("b", (("330106", 5, 5),))
    assert counts.count("33") == Count(15, 0)
    counts.present("a", True)
    counts.present("a", True)
    assert counts.count("33") == Count(15, 8)
    assert counts.count("") == Count(16, 9)
    assert counts.count(NO_REGION) == Count(1, 1)
    counts.put("a", (("330102", 9, 9),))
    assert (counts.count("330102"), counts.count(NO_REGION)) == (Count(9, 9), Count(0, 0))
    counts.present("a", False)
    counts.put("b", ())
    assert counts.count("33") == Count(9, 0)
    assert counts.nodes() == ["", "33", "3301", "330102"] or set(counts.nodes()) == {
        "",
        "33",
        "3301",
        "330102",
    }
