"""Finding ONVIF devices (WS-Discovery, ONVIF Core 7): multicast on a named interface, or unicast.

Answers are taken from source_networks only; what a device says of its own address is not believed.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from uuid import uuid4

from commonview.network.sources.address import Location, locate
from commonview.network.sources.errors import SourceInvalid
from commonview.network.sources.onvif.model import Discovered
from commonview.network.sources.onvif.xml import XmlRefused, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commonview.foundation.settings import IpNetwork

PORT: Final = 3702
GROUP: Final = "239.255.255.250"
MAX_DEVICES: Final = 1024
_DATAGRAM_BYTES: Final = 65_536
_TEXT_CHARS: Final = 64
_ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_TWICE_S: Final = 0.3


def probe_message(message_id: str) -> bytes:
    """A Probe for network video transmitters."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{_ADDRESSING}" '
        f'xmlns:d="{_DISCOVERY}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header>'
        f"<a:MessageID>{message_id}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        f"<a:Action>{_DISCOVERY}/Probe</a:Action></s:Header>"
        "<s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>"
    ).encode()


def read_match(datagram: bytes, sender: str, message_id: str) -> Discovered | None:
    """The device in an answer to our probe; None when it is none. Its URL is put at the sender's address."""
    try:
        root = read(datagram)
    except XmlRefused:
        return None
    match = root.find("Body", "ProbeMatches", "ProbeMatch")
    if match is None or root.value("Header", "RelatesTo") != message_id:
        return None
    scopes = _scopes(match.value("Scopes"))
    for url in match.value("XAddrs").split()[:8]:
        try:
            there = locate(url, "http")
        except SourceInvalid:
            continue
        own = Location("http", sender, there.port, there.path)
        return Discovered(
            address=sender,
            url=own.url,
            name=scopes.get("name", ""),
            hardware=scopes.get("hardware", ""),
            endpoint=match.value("EndpointReference", "Address")[:_TEXT_CHARS],
        )
    return None


def _scopes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for scope in text.split()[:64]:
        kind, _, value = scope.removeprefix("onvif://www.onvif.org/").partition("/")
        printable = "".join(character for character in unquote(value) if character.isprintable())
        found.setdefault(kind.lower(), printable[:_TEXT_CHARS])
    return found


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, message_id: str, networks: Sequence[IpNetwork]) -> None:
        self.message_id = message_id
        self.networks = networks
        self.found: dict[str, Discovered] = {}
        self.ignored = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        sender = addr[0]
        allowed = any(ip_address(sender) in network for network in self.networks)
        is_usable = allowed and len(data) <= _DATAGRAM_BYTES and len(self.found) < MAX_DEVICES
        device = read_match(data, sender, self.message_id) if is_usable else None
        if device is None:
            self.ignored += 1
        else:
            self.found[device.url] = device


async def discover(
    networks: Sequence[IpNetwork],
    *,
    interface: str = "",
    address: str = "",
    port: int = PORT,
    wait_s: float = 3.0,
) -> tuple[Discovered, ...]:
    """Probe the network of ``interface`` (one of our own IPv4 addresses), or one ``address``.

    Raises `SourceInvalid` for a value that is no such address, or not one that may be asked.
    """
    target, local = (address, "") if address else (GROUP, interface)
    try:
        asked = ip_address(target)
        local_ip = IPv4Address(local) if local else None
    except ValueError:
        raise SourceInvalid(
            "an IPv4 address is needed", field="address" if address else "interface"
        ) from None
    if address and not any(asked in network for network in networks):
        raise SourceInvalid(
            f"{address} lies outside source_networks", code="source_forbidden", field="address"
        )
    if not address and local_ip is None:
        raise SourceInvalid("name the interface by its own address", field="interface")
    message_id = f"uuid:{uuid4()}"
    loop = asyncio.get_running_loop()
    try:
        transport, listener = await loop.create_datagram_endpoint(
            lambda: _Listener(message_id, networks),
            local_addr=(local or ("::" if asked.version == 6 else "0.0.0.0"), 0),  # noqa: S104
        )
    except OSError:
        raise SourceInvalid(f"{local} is not an address of this machine", field="interface") from None
    try:
        if local_ip is not None:
            opened = transport.get_extra_info("socket")
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local_ip.packed)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        for _ in range(2):  # Core 7.3.2 leaves the repetition to the sender; datagrams get lost
            transport.sendto(probe_message(message_id), (target, port))
            await asyncio.sleep(_TWICE_S)
        await asyncio.sleep(max(0.0, wait_s - 2 * _TWICE_S))
    finally:
        transport.close()
    return tuple(sorted(listener.found.values(), key=lambda device: device.url))
