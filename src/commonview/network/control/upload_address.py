"""Under which address a device reaches our API, to upload to it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from commonview.network.errors import NetworkError
from commonview.network.requests import advertised_host, host_port

if TYPE_CHECKING:
    from commonview.network.directory import DeviceRecord


class UploadUnreachable(NetworkError):
    """The API listens where this device cannot reach it."""

    default_code = "upload_unreachable"
    http_status = 409


def upload_base(record: DeviceRecord, *, public_url: str, http_host: str, http_port: int) -> str:
    """Scheme, host and port to tell this device. Raises `UploadUnreachable`."""
    if public_url:
        parts = urlsplit(public_url)
        return f"{parts.scheme}://{parts.netloc}"
    peer = record.peer[0] if record.peer is not None else ""
    if _loopback(http_host) and not _loopback(peer):
        raise UploadUnreachable(
            f"the API listens on {http_host}, where device {record.id} cannot upload to; "
            "set http_host or public_url",
            device_id=record.id,
            http_host=http_host,
        )
    host = "127.0.0.1" if http_host == "localhost" else http_host
    return f"http://{host_port(advertised_host('', host, peer), http_port)}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
