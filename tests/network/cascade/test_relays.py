"""Pictures through two and three of our own platforms, over real sockets and real media nodes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network import FailureCode, SessionState
from commonview.network.cascade import CascadeTransport, RelayEnd, RelayState, Superior
from commonview.security import SharedAction
from commonview.simulator import Channel, SimulatedCamera
from commonview.simulator.sources import open_scene
from tests.network.cascade.platforms import (
    LOWER,
    UPPER,
    MemoryBook,
    camera_known,
    listed,
    media_platform,
    register,
    told,
)
from tests.network.harness import DEVICE, Room, until
from tests.network.media_room import HttpReader, Viewer

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio

CAMERA = "34020000001320000001"
AT_LOWER = f"{DEVICE}-{CAMERA}"
AT_UPPER = f"{LOWER}-{CAMERA}"


@dataclass
class Pair:
    """An upper platform, a lower one that shares everything with it, and the lower one's camera."""

    upper: Room
    upper_node: CoreMediaNode
    lower: Room
    lower_node: CoreMediaNode
    camera: SimulatedCamera
    book: MemoryBook
    superior: Superior

    async def watch(self, access_id: str = "v") -> Viewer:
        session = await self.upper.service.start_live(AT_UPPER, access_id=access_id)
        return Viewer(self.upper_node, session, access_id)

    async def watch_below(self) -> Viewer:
        """Watch at the lower platform, from before anybody above does."""
        session = await self.lower.service.start_live(AT_LOWER, access_id="local")
        viewer = Viewer(self.lower_node, session, "local")
        await viewer.fragments(1)
        return viewer


@asynccontextmanager
async def pair(
    folder: Path,
    *,
    media: str = "udp",
    signalling: CascadeTransport = CascadeTransport.UDP,
    actions: frozenset[SharedAction] = frozenset(SharedAction),
    upper_media: str = "",
    lower_allows: str = "",
) -> AsyncIterator[Pair]:
    source = open_scene("north gate", size=(160, 120), fps=10)
    try:
        async with (
            media_platform(folder / "upper", default_media_transport=media, rtp_public_host=upper_media) as (
                upper,
                upper_node,
            ),
            media_platform(folder / "lower", sip_id=LOWER, cascade_media_networks=lower_allows) as (
                lower,
                lower_node,
            ),
        ):
            channels = (Channel(CAMERA, "north gate", source),)
            settings = replace(lower.camera_settings(), channels=channels)
            async with SimulatedCamera(settings) as camera, camera_known(lower):
                book = MemoryBook()
                superior = await register(lower, upper, book, share=False, transport=signalling)
                book.share(superior.id, actions=actions)
                await lower.service.cascade.look_again()
                assert list(await listed(upper)) == [CAMERA]
                yield Pair(upper, upper_node, lower, lower_node, camera, book, superior)
    finally:
        await source.close()


def pictures(reader: HttpReader) -> list[bytes]:
    """The media data of each fragment received."""
    boxes: list[bytes] = []
    data, at = bytes(reader.received), 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"mdat" and at + size <= len(data):
            boxes.append(data[at + 8 : at + size])
        at += max(size, 8)
    return boxes


def is_part_of(some: list[bytes], whole: list[bytes]) -> bool:
    """Whether these pictures stand in the others, side by side."""
    return any(whole[at : at + len(some)] == some for at in range(len(whole) - len(some) + 1))


@pytest.mark.parametrize("media", ["udp", "tcp-passive", "tcp-active"])
async def test_live_picture_passes_two_platforms_bit_for_bit(tmp_path: Path, media: str) -> None:
    async with pair(tmp_path, media=media) as two:
        below = await two.watch_below()
        above = await two.watch()
        await above.fragments(12)
        await until(lambda: is_part_of(pictures(above)[2:10], pictures(below)))
        assert two.camera.counters.invites == 1
        (relay,) = two.lower.service.cascade.relays.relays()
        assert (relay.channel_id, relay.state) == (AT_LOWER, RelayState.RUNNING)
        assert [one[1:3] for one in two.book.opened] == [(AT_LOWER, SharedAction.LIVE)]
        assert two.book.opened[0][3].superior_id == UPPER
        await above.leave()
        await until(lambda: two.lower.service.cascade.relays.relays()[0].end is RelayEnd.SUPERIOR_ENDED)
        assert two.lower.service.cascade.relays.relays()[0].bytes_sent > 0
        await below.leave()
        await until(lambda: not two.camera.streaming)


async def test_live_picture_passes_three_platforms_bit_for_bit(tmp_path: Path) -> None:
    top_id = "34000000002000000009"
    async with (
        media_platform(tmp_path / "top", sip_id=top_id) as (top, top_node),
        pair(tmp_path, signalling=CascadeTransport.TCP) as two,
    ):
        book = MemoryBook()
        await register(two.upper, top, book, server_id=top_id, local_id=UPPER)
        assert list(await listed(top, UPPER)) == [CAMERA]
        below = await two.watch_below()
        session = await top.service.start_live(f"{UPPER}-{CAMERA}", access_id="t")
        above = Viewer(top_node, session, "t")
        await above.fragments(12)
        await until(lambda: is_part_of(pictures(above)[2:10], pictures(below)))
        assert two.camera.counters.invites == 1
        await above.leave()
        await below.leave()
        await until(lambda: not two.camera.streaming)


async def test_revoked_sharing_cuts_the_relay_and_the_superior_hears_bye(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        viewer = await two.watch()
        await viewer.fragments(2)
        sharing = two.book.sharings.pop()
        two.lower_node.cut_grant(f"grant-{sharing.id}")
        relays = two.lower.service.cascade.relays
        await until(lambda: relays.relays()[0].end is RelayEnd.SHARING_ENDED)
        await two.lower.service.cascade.look_again()
        await until(lambda: not two.camera.streaming)
        refused = await two.upper.service.start_live(AT_UPPER, access_id="again")
        await until(lambda: two.upper.service.session(refused.id).state is not SessionState.LIVE)
        await viewer.leave()


async def test_what_is_not_shared_is_refused(tmp_path: Path) -> None:
    async with pair(tmp_path, actions=frozenset({SharedAction.CONTROL})) as two:
        session = await two.upper.service.start_live(AT_UPPER, access_id="v")
        await until(lambda: two.upper.service.session(session.id).state is SessionState.FAILED)
        failure = two.upper.service.session(session.id).failure
        assert failure is not None
        assert (failure.code, failure.params["status"]) == (FailureCode.INVITE_REFUSED, 403)
        assert two.book.opened == []
        assert two.camera.counters.invites == 0


async def test_camera_that_goes_away_ends_the_relay_and_its_record(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        viewer = await two.watch()
        await viewer.fragments(2)
        await two.camera.stop()
        await until(lambda: two.lower.service.cascade.relays.relays()[0].state is RelayState.ENDED)
        await viewer.leave()


async def test_superior_that_restarts_can_watch_again(tmp_path: Path) -> None:
    """Its former call is dropped for the new one (Annex K c): no ghost keeps the camera."""
    async with pair(tmp_path) as two:
        first = await two.watch()
        await first.fragments(2)
        upper_session = two.upper.service.sessions()[0]
        run = two.upper.service._live._by_id[upper_session.id]
        assert run.call is not None
        run.call.dialog = None  # a process that was killed says no BYE
        await first.leave()
        await until(lambda: two.upper.service.sessions()[0].state is SessionState.ENDED)
        second = await two.watch("w")
        await second.fragments(2)
        relays = two.lower.service.cascade.relays.relays()
        assert [one.end for one in relays] == [None, RelayEnd.REPLACED]
        await second.leave()


async def test_channels_leave_the_superior_with_the_sharing(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        two.book.sharings.clear()
        await two.lower.service.cascade.look_again()
        await listed_nothing(two.upper)


async def listed_nothing(upper: Room) -> None:
    await listed(upper)
    assert re.fullmatch("", "".join(one.gb_id for one in told(upper)))


@pytest.mark.parametrize(("networks", "refused"), [("", True), ("127.0.0.9/32", False)])
async def test_pictures_go_only_where_the_superior_signals_from_or_the_operator_allows(
    tmp_path: Path, networks: str, refused: bool
) -> None:
    # The upper platform's media server has another address than its signalling: its c= says 127.0.0.9.
    async with pair(tmp_path, upper_media="127.0.0.9", lower_allows=networks) as two:
        await two.watch()
        counters = two.lower.service.cascade.relays.counters
        if refused:
            await until(lambda: two.upper.service.sessions()[0].failure is not None)
            failure = two.upper.service.sessions()[0].failure
            assert failure is not None
            assert (failure.code, failure.params["status"]) == (FailureCode.INVITE_REFUSED, 488)
            assert counters["target_elsewhere"] >= 1
            assert two.book.opened == []
        else:
            await until(lambda: two.lower.service.cascade.relays.relays())
            assert two.lower.service.cascade.relays.relays()[0].target.startswith("udp 127.0.0.9:")
            assert counters["target_elsewhere"] == 0
