"""Under which name a viewer finds the video outlet."""

from typing import Any

import pytest

from commonview.api.media_address import MediaAddress, Way, host_name, ticket_peers
from commonview.foundation.settings import Settings
from commonview.media import ViewerProtocol

ANY = "0.0.0.0"  # noqa: S104 - a setting, nothing is bound


@pytest.mark.parametrize(
    ("settings", "asked_by", "expected"),
    [
        ({}, "127.0.0.1:8000", "http://127.0.0.1:8001"),
        # The outlet refuses pages of another host name: it is called what the page is called.
        ({}, "localhost:8000", "http://localhost:8001"),
        ({}, "", "http://127.0.0.1:8001"),
        ({}, "bad host", "http://127.0.0.1:8001"),
        ({"media_host": ANY}, "video.example:8000", "http://video.example:8001"),
        ({"media_host": ANY}, "[2001:db8::1]:8000", "http://[2001:db8::1]:8001"),
        ({"media_host": "192.0.2.5"}, "video.example:8000", "http://192.0.2.5:8001"),
        ({"media_host": "::1", "http_host": "127.0.0.1"}, "evil.example", "http://[::1]:8001"),
        ({"media_public_url": "https://v.example:8443/"}, "x", "https://v.example:8443"),
    ],
)
def test_http_origin(settings: dict[str, Any], asked_by: str, expected: str) -> None:
    address = MediaAddress(Settings(**settings), 8001, 8554)
    assert address.origin(ViewerProtocol.HTTP, asked_by) == expected
    assert address.origin(ViewerProtocol.WEBSOCKET, asked_by) == "ws" + expected.removeprefix("http")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"media_host": ANY}, "rtsp://video.example:8554"),
        ({"media_host": "::1"}, "rtsp://[::1]:8554"),
        ({"media_public_url": "https://v.example:8443/"}, "rtsp://v.example:8554"),
        ({"media_public_url": "https://[2001:db8::1]:8443"}, "rtsp://[2001:db8::1]:8554"),
    ],
)
def test_players_of_rtsp_find_the_port_of_the_core_under_the_same_name(
    settings: dict[str, Any], expected: str
) -> None:
    address = MediaAddress(Settings(**settings), 8001, 8554)
    assert address.origin(ViewerProtocol.RTSP, "video.example:8000") == expected
    way = Way("/live/s1", ("name", "word"))
    assert address.url(ViewerProtocol.RTSP, "video.example:8000", way) == (
        expected.replace("rtsp://", "rtsp://name:word@") + "/live/s1"
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("a.example:80", "a.example"),
        ("a.example", "a.example"),
        ("[::1]:80", "[::1]"),
        ("a.example:", None),
        ("a:1:2", None),
        ("-a", None),
        ("a b", None),
        ("a/b", None),
        ("", None),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str | None) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("settings", "asker", "peers"),
    [
        ({}, "127.0.0.1", "127.0.0.1/32"),
        ({"media_host": ANY}, "192.0.2.7", "192.0.2.7/32"),
        # Comes to an outlet of IPv4 from an address nobody knows yet.
        ({"media_host": ANY}, "2001:db8::7", None),
        ({"media_host": "::"}, "2001:db8::7", "2001:db8::7/128"),
        ({"media_host": "::"}, "192.0.2.7", "192.0.2.7/32"),
        ({"media_host": "::1"}, "192.0.2.7", None),
        ({}, "no address", None),
        ({"media_public_url": "https://v.example"}, "192.0.2.7", None),
        ({"trusted_proxies": "192.0.2.1"}, "192.0.2.7", None),
        ({"trusted_proxies": "192.0.2.1", "media_ticket_addresses": "asker"}, "192.0.2.7", "192.0.2.7/32"),
        ({"media_ticket_addresses": "any"}, "192.0.2.7", None),
    ],
)
def test_a_ticket_is_good_where_it_was_asked_for_unless_a_proxy_hides_that(
    settings: dict[str, Any], asker: str, peers: str | None
) -> None:
    found = ticket_peers(Settings(**settings), asker)
    assert (None if found is None else str(found)) == peers
