"""No item of a catalogue is lost, whatever comes late, twice, wrong or in between (Annex M)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import pytest

from commonview.foundation.database import Database
from commonview.network.model import CatalogueState, ChannelFault, ChannelStatus, ProblemCode
from commonview.network.quirks import Flag, checked_overrides
from commonview.network.tree import ChannelQuery, TreeView
from commonview.wire.manscdp import CatalogItem
from commonview.wire.manscdp.xml import element
from tests.network.harness import until
from tests.network.tree.shelf import PLATFORM, Shelf, camera

pytestmark = pytest.mark.anyio
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Shelf]]


async def names(shelf: Shelf, **query: object) -> list[str]:
    page = await shelf.tree.search(ChannelQuery(**query))  # type: ignore[arg-type]
    return [channel.name for channel in page.channels]


@pytest.mark.trap(18)
async def test_pages_in_any_order_twice_and_many_at_once_lose_nothing(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        sync = await shelf.ask(record)
        pages = [[camera(number) for number in range(start, start + 13)] for start in range(0, 299, 13)]
        for page in [*reversed(pages), *pages[:5]]:
            shelf.page(sync, 299, *page)
        await shelf.ended(record, CatalogueState.COMPLETE)
        assert record.cameras == 299
        (report,) = await shelf.tree.reports(PLATFORM)
        assert (report.received, report.added, report.repeated_pages) == (299, 299, 5)


async def test_catalogue_whose_pages_wait_to_be_read_is_not_taken_for_ended(open_shelf: Opened) -> None:
    asked: list[bool] = []
    async with open_shelf() as shelf:
        shelf.behind = lambda: asked.append(True) or True  # type: ignore[func-returns-value]
        record = shelf.join()
        sync = await shelf.ask(record)
        shelf.page(sync, 2, camera(1))
        await until(lambda: len(asked) >= 3)
        assert record.catalogue.state is CatalogueState.RUNNING
        shelf.page(sync, 2, camera(2))
        await shelf.ended(record, CatalogueState.COMPLETE)
        assert record.cameras == 2


@pytest.mark.trap(17)
async def test_a_total_larger_than_what_comes_ends_by_silence_and_nothing_vanishes(
    open_shelf: Opened,
) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2))
        shelf.page(await shelf.ask(record), 500, camera(2))
        await shelf.ended(record, CatalogueState.INCOMPLETE)
        assert record.cameras == 2
        assert record.problems[ProblemCode.CATALOGUE_INCOMPLETE].params == {"received": 1, "promised": 500}


@pytest.mark.trap(17)
async def test_an_answer_without_a_total_is_taken_and_nothing_vanishes(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1))
        shelf.page(await shelf.ask(record), None, camera(2))
        await until(lambda: record.cameras == 2)


@pytest.mark.trap(19)
async def test_a_page_after_the_end_still_counts(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        sync = await shelf.ask(record)
        shelf.page(sync, 1, camera(1))
        await shelf.ended(record, CatalogueState.COMPLETE)
        shelf.page(sync, 1, camera(2))
        await until(lambda: record.cameras == 2)
        report = (await shelf.tree.reports(PLATFORM))[0]
        assert (report.received, report.added, report.late_pages) == (2, 2, 1)


async def test_a_page_of_the_question_before_counts_too(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        first = await shelf.ask(record)
        second = await shelf.ask(record)
        shelf.page(first, 2, camera(1))
        shelf.page(second, 1, camera(2))
        shelf.page(first, 2, camera(3))
        await shelf.ended(record, CatalogueState.COMPLETE)
        await shelf.written()
        assert (await shelf.tree.detail(f"{PLATFORM}-{camera(3).device_id}")).told_name == "camera 3"


async def test_a_page_under_a_wrong_sn_belongs_to_the_only_question(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        sync = await shelf.ask(record)
        shelf.page(sync, 1, camera(1), sn=1732281234567)
        await shelf.ended(record, CatalogueState.COMPLETE)
        assert record.cameras == 1
        assert shelf.catalogue.counters["catalogue_page_wrong_sn"] == 1


async def test_what_a_whole_catalogue_lists_no_more_is_marked_and_comes_back(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2))
        await shelf.sync(record, camera(1))
        assert (await shelf.tree.detail(f"{PLATFORM}-{camera(2).device_id}")).channel.vanished_at
        assert record.cameras == 1
        await shelf.sync(record, camera(1), camera(2))
        assert not (await shelf.tree.detail(f"{PLATFORM}-{camera(2).device_id}")).channel.vanished_at
        reports = await shelf.tree.reports(PLATFORM)
        assert [(one.added, one.changed, one.vanished) for one in reports] == [
            (0, 1, 0),
            (0, 0, 1),
            (2, 0, 0),
        ]


async def test_what_a_notification_adds_during_a_question_does_not_vanish_at_its_end(
    open_shelf: Opened,
) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        sync = await shelf.ask(record)
        shelf.catalogue.apply_notify(record, [camera(9, event="ADD")])
        shelf.page(sync, 1, camera(1))
        await shelf.ended(record, CatalogueState.COMPLETE)
        await shelf.written()
        assert sorted(await names(shelf)) == ["camera 1", "camera 9"]


async def test_an_unchanged_catalogue_writes_nothing(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1))
        before = (await shelf.tree.detail(f"{PLATFORM}-{camera(1).device_id}")).changed_at
        await shelf.sync(record, camera(1))
        assert (await shelf.tree.detail(f"{PLATFORM}-{camera(1).device_id}")).changed_at == before


async def test_every_field_is_kept_and_a_password_is_not(open_shelf: Opened) -> None:
    extra = (
        element("Owner", "0"),
        element("Password", "secret"),
        element("Info", [element("PTZType", 1), element("Resolution", "6"), element("Vendor", "x")]),
    )
    async with open_shelf() as shelf:
        record = shelf.join()
        item = camera(1, parental=True, register_way=1, block="b", extra=extra)
        await shelf.sync(record, item)
        detail = await shelf.tree.detail(f"{PLATFORM}-{item.device_id}")
        assert (detail.parental, detail.register_way, detail.block, detail.ptz_type) == (True, 1, "b", 1)
        assert detail.raw == {"Owner": "0", "Info": {"PTZType": "1", "Resolution": "6", "Vendor": "x"}}


async def test_the_operators_words_outlive_every_catalogue_and_both_are_shown(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1, longitude=120.0, latitude=30.0))
        channel_id = f"{PLATFORM}-{camera(1).device_id}"
        await shelf.tree.edit(channel_id, name="东门", position=(120.5, 30.5))
        await shelf.sync(record, camera(1, name="renamed", longitude=121.0, latitude=31.0))
        detail = await shelf.tree.detail(channel_id)
        assert (detail.channel.name, detail.told_name) == ("东门", "renamed")
        assert (detail.channel.longitude, detail.told_longitude) == (120.5, 121.0)
        assert await names(shelf, text="东门") == ["东门"]
        assert await names(shelf, text="rename") == ["东门"]
        assert await names(shelf, text="camera") == []
        back = await shelf.tree.edit(channel_id, clear=frozenset({"name", "position"}))
        assert (back.channel.name, back.channel.longitude) == ("renamed", 121.0)
        assert await names(shelf, text="东门") == []


@pytest.mark.parametrize(
    ("event", "status", "fault"),
    [
        ("OFF", ChannelStatus.OFF, None),
        ("VLOST", ChannelStatus.OFF, ChannelFault.VIDEO_LOST),
        ("DEFECT", ChannelStatus.OFF, ChannelFault.DEFECT),
    ],
)
async def test_a_notified_status_changes_the_channel_and_the_counts(
    open_shelf: Opened, event: str, status: ChannelStatus, fault: ChannelFault | None
) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2))
        shelf.catalogue.apply_notify(record, [CatalogItem(device_id=camera(1).device_id, event=event)])
        await until(lambda: record.cameras_on == 1)
        channel = shelf.tree.channel(record, camera(1).device_id)
        assert channel is not None
        assert (channel.status, channel.fault, channel.name) == (status, fault, "camera 1")
        assert shelf.tree.regions.count("330102") == (2, 1)
        shelf.catalogue.apply_notify(record, [CatalogItem(device_id=camera(1).device_id, event="ON")])
        await until(lambda: record.cameras_on == 2)


@pytest.mark.trap(30)
async def test_status_in_notifications_is_ignored_for_a_peer_that_flaps_and_counted(
    open_shelf: Opened,
) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        record.quirk_overrides = checked_overrides({"ignore_notify_status": "true"})
        await shelf.sync(record, camera(1))
        shelf.catalogue.apply_notify(record, [CatalogItem(device_id=camera(1).device_id, event="OFF")])
        await shelf.written()
        channel = shelf.tree.channel(record, camera(1).device_id)
        assert channel is not None
        assert channel.status is ChannelStatus.ON
        assert record.quirks_fired is not None
        assert record.quirks_fired[Flag.IGNORE_NOTIFY_STATUS] == 1


@pytest.mark.trap(30)
async def test_a_status_of_0_or_1_is_read_as_off_or_on(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1, status="1"), camera(2, status="0"))
        assert (record.cameras, record.cameras_on) == (2, 1)


async def test_an_update_changes_what_it_names_and_keeps_the_rest(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1, address="square", extra=(element("Owner", "7"),)))
        update = CatalogItem(device_id=camera(1).device_id, event="UPDATE", name="new name")
        shelf.catalogue.apply_notify(record, [update])
        await shelf.written()
        detail = await shelf.tree.detail(f"{PLATFORM}-{camera(1).device_id}")
        assert (detail.told_name, detail.told_place, detail.channel.status.value) == (
            "new name",
            "square",
            "on",
        )
        assert detail.raw == {"Owner": "7"}


async def test_a_deleted_channel_vanishes_and_a_status_of_an_unknown_one_asks_again(
    open_shelf: Opened,
) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2))
        asked = len(shelf.endpoint.sent)
        shelf.catalogue.apply_notify(record, [CatalogItem(device_id=camera(2).device_id, event="DEL")])
        await until(lambda: record.cameras == 1)
        assert not any("Catalog" in body for body in shelf.endpoint.sent[asked:])
        shelf.catalogue.apply_notify(record, [CatalogItem(device_id=camera(77).device_id, event="OFF")])
        await until(lambda: any("Catalog" in body for body in shelf.endpoint.sent[asked:]))


@pytest.mark.trap(31)
async def test_a_nested_catalogue_unfolds_level_by_level(open_shelf: Opened) -> None:
    group, org = "33010000002150000001", "33010000002160000001"
    nvr = "33010000001180000001"
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(
            record,
            CatalogItem(device_id=PLATFORM, name="the platform"),
            CatalogItem(device_id=group, name="group", parent_ids=(PLATFORM,)),
            CatalogItem(device_id=org, name="org", business_group_id=group),
            CatalogItem(device_id=nvr, name="nvr", parent_ids=(PLATFORM,)),
            *(camera(number, parent_ids=(nvr, org)) for number in range(5)),
        )
        (device,) = (await shelf.tree.nodes(TreeView.DEVICE, "", "", 10)).nodes
        assert (device.total, device.on, device.online) == (5, 5, True)
        top = await shelf.tree.nodes(TreeView.DEVICE, device.id, "", 10)
        assert [(node.name, node.total, node.has_children) for node in top.nodes] == [
            ("nvr", 5, True),
            ("group", 5, True),
        ]
        (inner,) = (await shelf.tree.nodes(TreeView.DEVICE, top.nodes[1].id, "", 10)).nodes
        assert (inner.name, inner.total) == ("org", 5)
        for node in (top.nodes[0], inner):
            first = await shelf.tree.nodes(TreeView.DEVICE, node.id, "", 3)
            rest = await shelf.tree.nodes(TreeView.DEVICE, node.id, first.cursor or "", 3)
            assert [one.name for one in (*first.nodes, *rest.nodes)] == [f"camera {n}" for n in range(5)]
            assert rest.cursor is None


async def test_the_region_view_counts_and_lists_by_place(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(
            record, CatalogItem(device_id="3301", name="Hangzhou"), camera(1), camera(2, civil_code="330106")
        )
        (province,) = (await shelf.tree.nodes(TreeView.REGION, "", "", 10)).nodes
        assert (province.id, province.total, province.on) == ("33", 2, 2)
        (city,) = (await shelf.tree.nodes(TreeView.REGION, "33", "", 10)).nodes
        assert (city.name, city.total) == ("Hangzhou", 2)
        districts = (await shelf.tree.nodes(TreeView.REGION, "3301", "", 1)).nodes
        assert [node.id for node in districts] == ["330102"]
        (leaf,) = (await shelf.tree.nodes(TreeView.REGION, "330106", "", 10)).nodes
        assert leaf.name == "camera 2"
        shelf.directory._go_offline(record, record.reason)
        assert shelf.tree.regions.count("33") == (2, 0)


async def test_groups_hold_channels_move_and_go(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2))
        groups = shelf.tree.groups
        top = await groups.create("patrols")
        inner = await groups.create("night", top.id)
        other = await groups.create("day", top.id)
        assert (top.id[10:13], inner.id[10:13]) == ("215", "216")
        ids = [(PLATFORM, camera(1).device_id), (PLATFORM, camera(2).device_id)]
        assert await groups.add(inner.id, ids) == 2
        assert await groups.add(inner.id, ids) == 0
        assert shelf.tree.group_counts.count(top.id) == (2, 2)
        assert await names(shelf, group_id=top.id) == ["camera 1", "camera 2"]
        await groups.change(inner.id, parent_id=other.id)
        assert shelf.tree.group_counts.count(other.id) == (2, 2)
        assert await groups.remove(inner.id, ids[:1]) == 1
        page = await shelf.tree.nodes(TreeView.GROUP, inner.id, "", 10)
        assert [node.name for node in page.nodes] == ["camera 2"]
        assert await groups.delete(other.id) == 2
        assert shelf.tree.group_counts.count(top.id) == (0, 0)
        assert [group.id for group in groups.all()] == [top.id]


async def test_search_by_name_code_status_and_device_pages_through_everything(open_shelf: Opened) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(
            record, *(camera(n, name=f"东门{n}", status="ON" if n % 2 else "OFF") for n in range(40))
        )
        for query in (
            {"text": "东门"},
            {"code": "33010200001"},
            {"device_id": PLATFORM},
            {"region": "3301"},
            {},
        ):
            found: list[str] = []
            cursor = ""
            while True:
                page = await shelf.tree.search(ChannelQuery(cursor=cursor, limit=7, **query))  # type: ignore[arg-type]
                found += [channel.gb_id for channel in page.channels]
                if page.cursor is None:
                    break
                cursor = page.cursor
            assert len(found) == len(set(found)) == 40, query
        assert len(await names(shelf, status=ChannelStatus.OFF)) == 20
        assert await names(shelf, text="门39", code="3301", status=ChannelStatus.ON) == ["东门39"]


async def test_counts_and_the_index_come_back_after_a_restart(open_shelf: Opened, database: Database) -> None:
    async with open_shelf() as shelf:
        record = shelf.join()
        await shelf.sync(record, camera(1), camera(2, status="OFF"))
        group = await shelf.tree.groups.create("g")
        await shelf.tree.groups.add(group.id, [(PLATFORM, camera(1).device_id)])
    with database.begin() as conn:
        conn.exec_driver_sql("INSERT INTO channel_search(channel_search) VALUES ('delete-all')")
    async with open_shelf() as shelf:
        record = shelf.join()
        shelf.tree.load()
        assert (record.channel_count, record.cameras, record.cameras_on) == (2, 2, 1)
        assert shelf.tree.regions.count("33") == (2, 1)
        assert shelf.tree.group_counts.count(group.id) == (1, 1)
        assert await names(shelf, text="camera 2") == ["camera 2"]
