"""Under which name a viewer finds the video outlet."""

from typing import Any

import pytest

from commonview.api.media_address import MediaAddress, Way, host_name
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
