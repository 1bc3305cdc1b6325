"""Where viewers fetch video: the origin that goes into playable URLs and into the console's CSP."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from commonview.foundation.settings import IpNetwork, Settings
from commonview.media import ViewerProtocol

_HOST = re.compile(
    r"((?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]))(?::[0-9]{1,5})?\Z"
)


BROWSER_PROTOCOLS: Final = (ViewerProtocol.WEBSOCKET, ViewerProtocol.HTTP)
"""Those a page may use."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a player goes: the path, with a ticket in it, or name and password to sign in with instead."""

    path: str
    sign_in: tuple[str, str] | None = None


class MediaAddress:
    """The outlet's address for one asker.

    `media_public_url` decides when it is set. Otherwise the outlet is named by the host name that the asker
    used for the console, as long as both listen on the same machine address: the outlet refuses WebSockets
    whose Origin has another host name, and `localhost` and `127.0.0.1` are two names of one place.
    """

    def __init__(self, settings: Settings, viewer_port: int, rtsp_port: int) -> None:
        is_secure = settings.media_tls_certificate is not None
        self._scheme, self._rtsp_scheme = ("https", "rtsps") if is_secure else ("http", "rtsp")
        self._public = settings.media_public_url.rstrip("/")
        self._port = viewer_port
        self._rtsp_port = rtsp_port
        self._media_host = settings.media_host
        self._follows_console = _wildcard(settings.media_host) or settings.media_host == settings.http_host

    def origin(self, protocol: ViewerProtocol, host_header: str) -> str:
        """`ws://host:port` or `http://host:port` (wss, https behind TLS), without a trailing slash.

        `rtsp://host:port` (rtsps) is the core's own port under the same host name: no HTTP proxy carries it.
        """
        if protocol is ViewerProtocol.RTSP:
            public = urlsplit(self._public).hostname
            host = self._host(host_header) if public is None else _bracketed(public)
            return f"{self._rtsp_scheme}://{host}:{self._rtsp_port}"
        base = self._public or f"{self._scheme}://{self._host(host_header)}:{self._port}"
        if protocol.is_websocket:
            return "ws" + base.removeprefix("http")
        return base

    def url(self, protocol: ViewerProtocol, host_header: str, way: Way) -> str:
        """The URL a player opens."""
        origin = self.origin(protocol, host_header)
        if way.sign_in is None:
            return origin + way.path
        scheme, place = origin.split("://")
        return f"{scheme}://{':'.join(way.sign_in)}@{place}{way.path}"

    def _host(self, host_header: str) -> str:
        name = host_name(host_header)
        if name is not None and (
            self._follows_console or (is_loopback(self._media_host) and is_loopback(name))
        ):
            return name
        if _wildcard(self._media_host):
            return "127.0.0.1"
        return _bracketed(self._media_host)


def ticket_peers(settings: Settings, asker: str) -> IpNetwork | None:
    """From where a ticket may be used that ``asker`` (an address) gets; None for anywhere.

    An asker of the other family than the outlet listens on comes to it from an address nobody knows yet.
    """
    if not settings.binds_tickets():
        return None
    try:
        address, outlet = ipaddress.ip_address(asker), ipaddress.ip_address(settings.media_host)
    except ValueError:
        return None
    is_met = address.version == outlet.version or settings.media_host == "::"
    return ipaddress.ip_network(address) if is_met else None


def host_name(host_header: str) -> str | None:
    """The name in a Host header without its port; None when it is not one."""
    found = _HOST.match(host_header)
    return found[1] if found is not None else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _wildcard(host: str) -> bool:
    return host in {"0.0.0.0", "::", ""}  # noqa: S104 - compared, not bound


def is_loopback(host: str) -> bool:
    """Whether the name or address stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
