"""From the first set-up to a decoded, moving picture under a grant, and to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.console import Console
from tests.processes import ADMINISTRATOR, OPERATOR, SUPERVISOR, Cameras, Server, channels, running, wait_for

Window = Callable[..., Console]
TRANSPORTS = ("udp", "tcp-passive", "tcp-active")
HOPS = (
    "registered",
    "invited",
    "answered",
    "tcp_connected",
    "first_packet",
    "first_key_frame",
    "first_picture",
)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three cameras, one for each way of sending media."""
    server = Server(tmp_path_factory.mktemp("first-light"), session_idle_stop_s=2)
    with running(server):
        server.set_up()
        cameras = Cameras(server, count=3, keepalive=5)
        with running(cameras):
            admin = server.sign_in(ADMINISTRATOR)
            for channel, transport in zip(_cameras(admin, 3), TRANSPORTS, strict=True):
                answer = admin.patch(
                    f"/api/devices/{channel['device']['id']}", json={"media_transport": transport}
                )
                assert answer.status_code == 200, answer.text
            yield server


def _cameras(client: Any, count: int) -> list[dict[str, Any]]:
    def all_listed() -> list[dict[str, Any]]:
        listed = channels(client)
        return listed if len(listed) == count else []

    found: list[dict[str, Any]] = wait_for(all_listed, f"{count} channels in the tree")
    return found


def _channel_sending_by(server: Server, transport: str) -> str:
    client = server.sign_in(OPERATOR)
    (channel,) = (one for one in _cameras(client, 3) if one["device"]["media_transport"] == transport)
    return str(channel["id"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_stranger_makes_the_first_accounts_and_signs_in(
    tmp_path: Any, window: Window, language: str
) -> None:
    server = Server(tmp_path)
    with running(server):
        console = window(server, language)
        console.open(f"/#/setup?token={server.setup_token()}")
        expect(console.see("setup")).to_be_visible()
        assert "token" not in console.page.url
        console.shot("setup")
        for person, prefix in ((ADMINISTRATOR, "setup-administrator"), (OPERATOR, "setup-operator")):
            console.see(f"{prefix}-username").fill(person["username"])
            console.see(f"{prefix}-displayName").fill(person["display_name"])
            console.see(f"{prefix}-password").fill(person["password"])
            console.see(f"{prefix}-again").fill(person["password"])
            console.see("setup-next").click()
        console.see("setup-skip").first.click()
        expect(console.see("setup-done")).to_be_visible()
        console.shot("setup-done")
        console.see("setup-to-sign-in").click()
        expect(console.see("sign-in-form")).to_be_visible()
        console.shot("sign-in")
        assert console.accessibility_faults() == []
        console.sign_in(OPERATOR)
        expect(console.see("tree-empty")).to_be_visible()
        console.shot("duty-empty")
        assert not (server.data_dir / "setup-link").exists()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_decoded_moving_picture_comes_over(transport: str, yard: Server, window: Window) -> None:
    channel_id = _channel_sending_by(yard, transport)
    console = window(yard)
    console.come_in(OPERATOR)
    console.watch(channel_id, 1)
    console.expect_decoded_and_moving(1)
    expect(console.tile(1).get_by_test_id("tile-left")).to_contain_text("left")
    console.tile(1).get_by_test_id("tile-info").click()
    expect(console.see("session-panel")).to_be_visible()
    wait_for(lambda: "first_picture" in console.timeline(), "the first picture in the timeline")
    told = [step for step in console.timeline() if step in HOPS]
    assert ("tcp_connected" in told) == transport.startswith("tcp")
    # Media may overtake the answer on its way through the house; each path keeps its own order.
    for path in (("registered", "invited", "answered"), ("first_packet", "first_key_frame", "first_picture")):
        assert [hop for hop in told if hop in path] == list(path)
    console.shot(f"playing-{transport}")


def test_a_revoked_grant_takes_the_picture_away(yard: Server, window: Window) -> None:
    channel_id = _channel_sending_by(yard, "tcp-passive")
    console = window(yard)
    console.come_in(OPERATOR)
    console.watch(channel_id, 1, "a look that will be stopped")
    console.expect_decoded_and_moving(1)

    supervisor = window(yard)
    supervisor.come_in(SUPERVISOR)
    supervisor.see("nav-access").click()
    row = supervisor.page.locator("[data-testid^=grant-]").filter(has_text="a look that will be stopped")
    row.get_by_test_id("grant-revoke").first.click()
    supervisor.see("revoke-reason").fill("the exercise is over")
    supervisor.shot("revoke")
    supervisor.see("revoke-submit").click()

    console.expect_phase(1, "ended")
    console.expect_cause(1, "grant_revoked")
    console.expect_no_picture(1)
    console.shot("revoked")
    client = yard.sign_in(SUPERVISOR)
    grants = client.get("/api/grants").json()["items"]
    (grant,) = (one for one in grants if one["reason"] == "a look that will be stopped")
    records = client.get("/api/access-records").json()["items"]
    (record,) = (one for one in records if one["grant_id"] == grant["id"])
    assert record["outcome"] == "grant_revoked"
    assert record["bytes_sent"] > 0


def test_two_windows_share_one_session_and_each_leaves_a_record(yard: Server, window: Window) -> None:
    channel_id = _channel_sending_by(yard, "udp")
    first, second = window(yard), window(yard)
    for number, console in enumerate((first, second), start=1):
        console.come_in(OPERATOR)
        console.watch(channel_id, 1, f"shared look {number}")
        console.expect_decoded_and_moving(1)
    client = yard.sign_in(OPERATOR)
    live = [
        one
        for one in client.get("/api/sessions").json()["items"]
        if one["channel_id"] == channel_id and one["state"] == "live"
    ]
    assert [one["viewer_count"] for one in live] == [2]


def test_four_pictures_in_chinese_by_keyboard(yard: Server, window: Window) -> None:
    console = window(yard, "zh")
    console.come_in(OPERATOR)
    console.see("layout-4").click()
    console.see("tree-search").fill("3402")
    console.see("tree-search").press("Enter")
    console.page.keyboard.press("Enter")
    console.state_purpose("键盘巡查", following=True)
    console.expect_phase(1, "playing")
    for tile in (2, 3):
        console.page.get_by_test_id("tree").focus()
        console.page.keyboard.press("ArrowDown")
        console.page.keyboard.press("ArrowDown")
        console.page.keyboard.press("Enter")
        console.expect_phase(tile, "playing")
    for tile in (1, 2, 3):
        console.expect_decoded_and_moving(tile)
    console.see("toggle-panel").click()
    console.shot("wall-four")
    assert console.accessibility_faults() == []
    expect(console.see("shift-purpose")).to_be_visible()
    console.page.keyboard.press("Escape")
    console.page.keyboard.press("?")
    expect(console.see("help")).to_be_visible()
    console.shot("help")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_of_every_role_opens(yard: Server, window: Window, language: str) -> None:
    for who in (ADMINISTRATOR, SUPERVISOR, OPERATOR):
        console = window(yard, language)
        console.come_in(who)
        links = console.page.locator("[data-testid^=nav-]")
        expect(links.first).to_be_visible()
        for link in links.all():
            name = str(link.get_attribute("data-testid")).removeprefix("nav-")
            if name == "me":
                continue
            link.click()
            expect(console.page.locator("main")).to_be_visible()
            console.page.wait_for_timeout(300)
            console.shot(f"page-{who['username']}-{name}")
            assert console.accessibility_faults() == [], name


def test_a_stream_the_browser_cannot_decode_is_said_plainly(tmp_path: Any, window: Window) -> None:
    server = Server(tmp_path)
    with running(server):
        server.set_up()
        with running(Cameras(server, count=1, codec="h265", size="352x288", fps=5)):
            (channel,) = _cameras(server.sign_in(OPERATOR), 1)
            for language in ("en", "zh"):
                console = window(server, language)
                console.come_in(OPERATOR)
                console.drag(channel["id"], 1)
                console.state_purpose("a look at H.265")
                # Debian's Chromium has no H.265 decoder; one that has would play it.
                if console.page.evaluate(
                    "MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L60.B0\"')"
                ):
                    console.expect_phase(1, "playing")
                    continue
                console.expect_cause(1, "unsupported")
                expect(console.tile(1)).to_contain_text("H.265")
                console.expect_no_picture(1)
                console.shot("h265-unsupported")
