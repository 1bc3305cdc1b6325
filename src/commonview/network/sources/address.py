"""Where a source is: URLs without credentials, and addresses that may be dialled."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from commonview.network.sources.errors import SourceFailed, SourceInvalid
from commonview.network.sources.model import SourceOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.settings import IpNetwork

_URL_CHARS = 2048
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80}
_SCHEMES = {"rtsp": ("rtsp", "rtsps"), "http": ("http",)}
_RESOLVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Location:
    """A URL taken apart, credentials left out. ``path`` has the query with it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_rtsp(self) -> bool:
        """Whether RTSP is spoken there, inside TLS or not."""
        return self.scheme != "http"

    @property
    def is_tls(self) -> bool:
        """Whether the connection is made inside TLS."""
        return self.scheme == "rtsps"

    @property
    def url(self) -> str:
        """The URL again."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def authority(self) -> str:
        """``host:port`` for a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def locate(url: str, scheme: str) -> Location:
    """Take a URL apart; ``rtsp`` means ``rtsps`` as well.

    Raises `SourceInvalid`, without repeating the URL: it may hold a password.
    """
    usable = 0 < len(url) <= _URL_CHARS and all("!" <= character <= "~" for character in url)
    try:
        parts = urlsplit(url)
        found = parts.scheme.lower()
        port = parts.port or _PORTS.get(found, 0)
    except ValueError:
        usable, found, parts, port = False, "", urlsplit(""), 0
    if not usable or found not in _SCHEMES[scheme] or not parts.hostname:
        raise SourceInvalid(f"the address must be a URL like {scheme}://HOST:PORT/PATH", field="url")
    if parts.username is not None or parts.password is not None:
        raise SourceInvalid(
            "the URL holds a user name or password; give them in their own fields",
            code="source_url_with_credentials",
            field="url",
        )
    return Location(found, parts.hostname, port, urlunsplit(("", "", parts.path, parts.query, "")))


def without_credentials(url: str) -> str:
    """The URL a device gave, without what it may have put before the host."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


async def resolve(host: str, port: int, networks: Sequence[IpNetwork]) -> str:
    """The address to dial: the first one of the host that lies in ``networks``. Raises `SourceFailed`."""
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise SourceFailed(SourceOutcome.NAME_UNKNOWN, f"no address is known for {host[:64]!r}") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if any(ip_address(address) in network for network in networks):
            return address
    raise SourceFailed(
        SourceOutcome.FORBIDDEN,
        f"{addresses[0] if addresses else host[:64]} lies outside source_networks; add its network to the "
        "setting source_networks if it may be asked",
    )
