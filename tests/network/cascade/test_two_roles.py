"""Platforms in both roles, calls that come back, superiors that restart."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from commonview.network import SessionState
from commonview.network.cascade import RelayEnd, VirtualDirectory
from commonview.network.registration_plan import RegistrationPhase
from commonview.security import SharingScope
from commonview.simulator import Channel, SimulatedCamera
from commonview.simulator.sources import open_scene
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from tests.network.cascade.platforms import (
    LOWER,
    UPPER,
    MemoryBook,
    a_platform,
    camera_known,
    listed,
    media_platform,
    phase_of,
    register,
)
from tests.network.cascade.test_relayed_past import pair as past_pair
from tests.network.cascade.test_relays import AT_UPPER, CAMERA, pair
from tests.network.harness import DEVICE, free_port, until
from tests.network.history.room import at
from tests.network.media_room import Viewer
from tests.waiting import PATIENCE_S

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio

OTHER_CAMERA = "34020000001320000077"


@pytest.mark.trap(14)
async def test_two_platforms_watch_each_others_cameras_over_one_pair_of_ids(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        one, one_node = await enter(media_platform(tmp_path / "one", default_media_transport="udp"))
        two, two_node = await enter(
            media_platform(tmp_path / "two", sip_id=LOWER, default_media_transport="udp")
        )
        for room, gb_id, name in ((one, OTHER_CAMERA, "east"), (two, CAMERA, "west")):
            source = open_scene(name, size=(160, 120), fps=10)
            stack.push_async_callback(source.close)
            channels = (Channel(gb_id, name, source),)
            await enter(SimulatedCamera(replace(room.camera_settings(), channels=channels)))
            await enter(camera_known(room))
        await register(two, one, MemoryBook())
        await register(one, two, MemoryBook(), server_id=LOWER, local_id=UPPER, port=two.service.sip_port)
        assert list(await listed(one, LOWER)) == [CAMERA]
        assert list(await listed(two, UPPER)) == [OTHER_CAMERA]
        viewers = []
        for room, node, channel in (
            (one, one_node, f"{LOWER}-{CAMERA}"),
            (two, two_node, f"{UPPER}-{OTHER_CAMERA}"),
        ):
            session = await room.service.start_live(channel, access_id=channel)
            viewers.append(Viewer(node, session, channel))
        for viewer in viewers:
            await viewer.fragments(4)
        assert len(one.service.cascade.relays.relays()) == len(two.service.cascade.relays.relays()) == 1
        for viewer in viewers:
            await viewer.leave()


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("X-RoutePath", f"{UPPER}-{LOWER}", 482),
        ("Monitor-User-Identity", f"{UPPER}-{LOWER}-34020000003000000009", 482),
        ("X-PreferredPath", f"{LOWER}-34020300002000000009", 404),
    ],
)
async def test_a_call_that_comes_back_or_knows_a_better_way_is_refused(
    tmp_path: Path, header: str, value: str, status: int
) -> None:
    async with pair(tmp_path) as two:
        record = two.upper.service._directory.get(LOWER)
        assert record is not None
        assert record.flow is not None
        result = await two.upper.service.endpoint.invite(
            call_for(UPPER, (header, value)), record.flow, timeout_s=PATIENCE_S
        )
        assert result.response.status == status
        assert two.book.opened == []


@pytest.mark.parametrize("session", ["Play", "Playback", "Download"])
async def test_the_path_a_superior_prefers_goes_down_and_the_path_taken_comes_up(
    tmp_path: Path, session: str
) -> None:
    """For live, playback and download (Annex H); so does the user it names, each domain in front (8.3)."""
    top_id = "34000000002000000009"
    user = "34000000003000000007-officer"
    async with (
        media_platform(tmp_path / "top", sip_id=top_id) as (top, _node),
        past_pair(tmp_path) as two,
    ):
        await register(two.upper, top, MemoryBook(), server_id=top_id, local_id=UPPER)
        assert list(await listed(top, UPPER)) == [CAMERA]
        below = two.lower.service.cascade.relays
        seen: list[str | None] = []
        judge = below.judge

        def noting(request: SipRequest, flow: Flow) -> int | None:
            seen.append(request.headers.get("X-PreferredPath"))
            return judge(request, flow)

        below.judge = noting  # type: ignore[method-assign]
        record = top.service._directory.get(UPPER)
        assert record is not None
        assert record.flow is not None
        headers = (
            ("X-PreferredPath", f"{UPPER}-{LOWER}"),
            ("Monitor-User-Identity", f"{top_id}-{user}"),
        )
        call = call_for(top_id, *headers, session=session)
        result = await top.service.endpoint.invite(call, record.flow, timeout_s=10)
        assert result.response.headers.get("X-RoutePath") == f"{UPPER}-{LOWER}"
        assert seen[0] == LOWER
        assert two.book.opened[0][3].user == f"{UPPER}-{top_id}-{user}"
        assert result.dialog is not None
        await result.ack()
        await top.service.endpoint.request(result.dialog.new_request("BYE"), record.flow)


async def test_the_user_at_our_own_console_is_named_to_a_platform_below(tmp_path: Path) -> None:
    async with past_pair(tmp_path) as two:
        await two.upper.service.start_live(AT_UPPER, access_id="v", user="ann-marie")
        history = two.upper.service.history
        history.start_playback(AT_UPPER, "p", at(1), at(10), user="ann-marie")
        history.start_download(AT_UPPER, at(1), at(5), speed=1, access_id="d", grant_id="g", user="ann-marie")
        await until(lambda: len(two.book.opened) == 3)
        assert {one[3].user for one in two.book.opened} == {f"{UPPER}-ann_marie"}


@pytest.mark.parametrize("session", ["Play", "Playback", "Download", "Talk"])
async def test_whatever_is_called_for_needs_a_sharing_in_force_and_no_record_is_made_of_a_refusal(
    tmp_path: Path, session: str
) -> None:
    async with past_pair(tmp_path) as two:
        two.book.sharings.clear()
        await two.lower.service.cascade.look_again()
        record = two.upper.service._directory.get(LOWER)
        assert record is not None
        assert record.flow is not None
        call = call_for(UPPER, session=session)
        result = await two.upper.service.endpoint.invite(call, record.flow, timeout_s=PATIENCE_S)
        assert result.response.status == 403
        assert two.book.opened == []


def call_for(caller: str, *headers: tuple[str, str], session: str = "Play") -> SipRequest:
    """An INVITE for the camera's live picture, or for what it has recorded."""
    span = "0 0" if session == "Play" else f"{at(1).timestamp():.0f} {at(9).timestamp():.0f}"
    fields = Headers(
        (
            ("From", f"<sip:{caller}@3402000000>"),
            ("To", f"<sip:{CAMERA}@3402010000>"),
            ("Content-Type", "application/sdp"),
            *headers,
        )
    )
    media = "audio 39000 RTP/AVP 8" if session == "Talk" else "video 39000 RTP/AVP 96"
    offer = (
        f"v=0\r\no={caller} 0 0 IN IP4 127.0.0.1\r\ns={session}\r\n"
        f"u={CAMERA}:0\r\nc=IN IP4 127.0.0.1\r\nt={span}\r\n"
        f"m={media}\r\na=recvonly\r\na=rtpmap:96 PS/90000\r\n"
    )
    return SipRequest("INVITE", f"sip:{CAMERA}@127.0.0.1", fields, offer.encode())


async def test_superior_that_was_away_is_registered_with_again_and_can_watch(tmp_path: Path) -> None:
    port = free_port()
    async with a_platform(tmp_path / "lower", sip_id=LOWER) as lower:
        async with a_platform(tmp_path / "upper", sip_port=port) as upper:
            superior = await register(lower, upper, MemoryBook())
        await until(lambda: phase_of(lower, superior) is RegistrationPhase.REGISTERED)
        async with (
            a_platform(tmp_path / "upper", sip_port=port) as upper,
            SimulatedCamera(lower.camera_settings()),
            camera_known(lower),
        ):
            await until(lambda: upper.service.device(LOWER).online)
            assert list(await listed(upper)) == [CAMERA]


async def test_superior_that_is_switched_off_loses_its_relays(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        viewer = await two.watch()
        await viewer.fragments(2)
        cascade = two.lower.service.cascade
        settings = cascade.superior(two.superior.id)[0].settings
        await cascade.change(two.superior.id, replace(settings, enabled=False))
        await until(lambda: [one.end for one in cascade.relays.relays()] == [RelayEnd.SHUTDOWN])
        await until(lambda: not two.upper.service.device(LOWER).online)
        session = await two.upper.service.start_live(AT_UPPER, access_id="w")
        await until(lambda: two.upper.service.session(session.id).state is not SessionState.LIVE)
        assert cascade.superior(two.superior.id)[1].phase is RegistrationPhase.STOPPED
        await viewer.leave()


async def test_sharing_a_group_shares_what_is_in_it_and_shows_it_as_a_folder(tmp_path: Path) -> None:
    async with (
        a_platform(tmp_path / "upper") as upper,
        a_platform(tmp_path / "lower", sip_id=LOWER) as lower,
        SimulatedCamera(lower.camera_settings(channels=4)),
        camera_known(lower),
    ):
        groups = lower.service.channel_tree.groups
        city = await groups.create("city")
        night = await groups.create("night", city.id)
        await groups.add(night.id, [(DEVICE, CAMERA), (DEVICE, "34020000001320000002")])
        book = MemoryBook()
        superior = await register(lower, upper, book, share=False, directory=VirtualDirectory.GROUPS)
        out = frozenset({f"{DEVICE}-34020000001320000002"})
        book.share(superior.id, SharingScope(group_ids=frozenset({city.id}), excluded_channel_ids=out))
        await lower.service.cascade.look_again()
        assert list(await listed(upper)) == [CAMERA]
        channel = upper.service.channel(f"{LOWER}-{CAMERA}")
        assert channel.parent_id == f"{LOWER}/{night.id}"
        folder = upper.service.channel(f"{LOWER}-{night.id}")
        assert (folder.name, folder.parent_id) == ("night", "")
