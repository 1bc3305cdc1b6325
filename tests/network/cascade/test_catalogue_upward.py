from pathlib import Path

import pytest

from commonview.network import ChannelStatus
from commonview.network.cascade import CascadeTransport, Edition
from commonview.network.registration_plan import RegistrationPhase, RegistrationTrouble
from commonview.security import SharingScope
from commonview.simulator import SimulatedCamera
from tests.network.cascade.platforms import (
    LOWER,
    UPPER,
    MemoryBook,
    a_platform,
    camera_known,
    listed,
    phase_of,
    refresh,
    register,
    superior_settings,
    told,
)
from tests.network.harness import DEVICE, until

pytestmark = pytest.mark.anyio

CAMERAS = [f"34020000001320{number:06d}" for number in range(1, 6)]


@pytest.mark.parametrize("transport", list(CascadeTransport)[:2])
async def test_superior_lists_what_is_shared_with_it(tmp_path: Path, transport: CascadeTransport) -> None:
    async with (
        a_platform(tmp_path / "upper") as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings(channels=5)),
        camera_known(lower),
    ):
        await register(lower, upper, MemoryBook(), transport=transport)
        found = await listed(upper)
        assert sorted(found) == CAMERAS
        assert found[CAMERAS[0]].name == "camera 1"
        assert found[CAMERAS[0]].status is ChannelStatus.ON
        assert upper.service.device(LOWER).gb_version == "3.0"
        await until(lambda: upper.service.device(LOWER).model == "Commonview")


async def test_nothing_is_listed_without_a_sharing(tmp_path: Path) -> None:
    async with (
        a_platform(tmp_path / "upper") as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings()),
        camera_known(lower),
    ):
        await register(lower, upper, MemoryBook(), share=False)
        assert await listed(upper) == {}


async def test_wrong_password_is_shown_with_its_reason(tmp_path: Path) -> None:
    async with a_platform(tmp_path / "upper") as upper, a_platform(tmp_path / "lower", sip_id=LOWER) as lower:
        superior = await lower.service.cascade.add(superior_settings(upper), "not the password")
        await until(lambda: phase_of(lower, superior) is RegistrationPhase.WAITING)
        status = lower.service.cascade.superior(superior.id)[1]
        assert status.trouble is RegistrationTrouble.WRONG_PASSWORD


async def test_superior_removed_is_unregistered_from(tmp_path: Path) -> None:
    async with a_platform(tmp_path / "upper") as upper, a_platform(tmp_path / "lower", sip_id=LOWER) as lower:
        superior = await register(lower, upper, MemoryBook(), share=False)
        await until(lambda: upper.service.device(LOWER).online)
        await lower.service.cascade.remove(superior.id)
        await until(lambda: not upper.service.device(LOWER).online)


async def test_superiors_are_registered_with_again_after_a_restart(tmp_path: Path) -> None:
    async with a_platform(tmp_path / "upper") as upper:
        async with a_platform(tmp_path / "lower", sip_id=LOWER) as lower:
            superior = await register(lower, upper, MemoryBook(), share=False)
        await until(lambda: not upper.service.device(LOWER).online)
        async with a_platform(tmp_path / "lower", sip_id=LOWER) as lower:
            await until(lambda: phase_of(lower, superior) is RegistrationPhase.REGISTERED)
            await until(lambda: upper.service.device(LOWER).online)


async def test_two_superiors_of_two_editions_see_different_selections(tmp_path: Path) -> None:
    async with (
        a_platform(tmp_path / "city") as city,
        a_platform(tmp_path / "district") as district,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings(channels=5)),
        camera_known(lower),
    ):
        book = MemoryBook()
        old = await register(lower, city, book, share=False, edition=Edition.GB2016)
        new = await register(lower, district, book, share=False, name="district")
        chosen = frozenset(f"{DEVICE}-{gb_id}" for gb_id in CAMERAS[:2])
        book.share(old.id, SharingScope(channel_ids=chosen))
        book.share(new.id, SharingScope(everything=True, excluded_channel_ids=chosen))
        await refresh(lower)
        assert sorted(await listed(city)) == CAMERAS[:2]
        assert sorted(await listed(district)) == CAMERAS[2:]
        assert city.service.device(LOWER).gb_version == "2.0"


async def test_changes_reach_a_subscriber_without_being_asked_for(tmp_path: Path) -> None:
    async with (
        a_platform(tmp_path / "upper", device_subscriptions="catalogue", subscription_delay_s=0) as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings(channels=3)) as camera,
        camera_known(lower),
    ):
        book = MemoryBook()
        superior = await register(lower, upper, book)
        await until(lambda: len(told(upper)) == 3)
        await until(lambda: lower.service.cascade.superior(superior.id)[1].subscriptions == ("catalogue",))
        await until(lambda: lower.service.cascade.catalogue.knows(superior.id))
        await camera.stop()
        await until(lambda: {one.status for one in told(upper)} == {ChannelStatus.OFF})
        book.sharings.clear()
        await refresh(lower)
        await until(lambda: told(upper) == [])


async def test_a_channel_has_the_id_and_the_name_that_were_chosen_for_this_superior(tmp_path: Path) -> None:
    """Subscribers are told: the former id goes, the new one comes and means the same camera."""
    chosen = "34020100001320000777"
    async with (
        a_platform(tmp_path / "upper", device_subscriptions="catalogue", subscription_delay_s=0) as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings()),
        camera_known(lower),
    ):
        superior = await register(lower, upper, MemoryBook())
        cascade = lower.service.cascade
        await until(lambda: [one.gb_id for one in told(upper)] == [CAMERAS[0]])
        await until(lambda: cascade.catalogue.knows(superior.id))
        (shown,), _after, total = await cascade.offers.channels(superior.id)
        assert (shown.own_id, total) == (CAMERAS[0], 1)
        await cascade.offers.name_channel(
            superior.id, shown.channel_id, own_id=chosen, own_name="Harbour, berth 7"
        )
        await until(lambda: [(one.gb_id, one.name) for one in told(upper)] == [(chosen, "Harbour, berth 7")])
        link = cascade.link(superior.id)
        assert link is not None
        meant = cascade.offers.meant(link, chosen)
        assert meant is not None
        assert meant[1].gb_id == CAMERAS[0]
        assert cascade.offers.meant(link, CAMERAS[0]) is None


@pytest.mark.trap(14)
async def test_two_platforms_that_are_each_others_upper_and_lower_list_no_loop(tmp_path: Path) -> None:
    async with (
        a_platform(tmp_path / "one") as one,
        a_platform(tmp_path / "two", sip_id=LOWER, sip_domain="3402010000") as two,
        SimulatedCamera(two.camera_settings(channels=2)),
        camera_known(two),
    ):
        book_one, book_two = MemoryBook(), MemoryBook()
        await register(two, one, book_two)
        await register(
            one,
            two,
            book_one,
            server_id=LOWER,
            server_domain="3402010000",
            local_id=UPPER,
            port=two.service.sip_port,
        )
        assert sorted(await listed(one)) == CAMERAS[:2]
        assert await listed(two, UPPER) == {}
        assert one.service.device(LOWER).online
        assert two.service.device(UPPER).online


@pytest.mark.trap(14)
async def test_colliding_channel_ids_become_distinct_and_stay_so(tmp_path: Path) -> None:
    other = "34020000001110000002"
    async with (
        a_platform(tmp_path / "upper") as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings()),
        SimulatedCamera(lower.camera_settings(device_id=other)),
        camera_known(lower),
    ):
        await until(lambda: len(lower.service.devices()) == 2)
        async with camera_known(lower):
            await register(lower, upper, MemoryBook())
            found = await listed(upper)
            assert sorted(found) == [CAMERAS[0], "34020100001320000001"]
            assert sorted(await listed(upper)) == sorted(found)
