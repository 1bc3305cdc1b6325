"""Binding the console's address, and saying in plain words why it cannot be bound."""

import logging
import os
import socket
from urllib.parse import urlsplit

from commonview.api.media_address import is_loopback
from commonview.api.media_certificate import read_identity, unusable
from commonview.foundation.errors import StartupError
from commonview.foundation.settings import Settings
from commonview.media import (
    CertificateUnusable,
    MediaError,
    MediaNode,
    MediaNodeSettings,
    RtspOutletUnavailable,
)

log = logging.getLogger(__name__)


def bind_http(settings: Settings) -> socket.socket:
    """The listening socket of the console and the API.

    Raises:
        StartupError: naming the address and the settings to change.
    """
    host, port = settings.http_host, settings.http_port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise cannot_listen("the console", host, port, error, "http_host", "http_port") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(1024)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise cannot_listen("the console", host, port, error, "http_host", "http_port") from None
    return bound


def require_local(settings: Settings) -> None:
    """That `rtp_host` is an address of this machine, before the first camera finds out.

    Raises:
        StartupError: naming the setting.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.rtp_host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(address)
    except OSError as error:
        raise cannot_listen("video from devices", settings.rtp_host, None, error, "rtp_host") from None


def open_media(settings: Settings, ticket_key: bytes) -> MediaNode:
    """The media node inside this process.

    Raises:
        StartupError: its outlet cannot be bound or cannot speak TLS as it is told to, or the Rust core was
            not built.
    """
    try:
        from commonview.media import CoreMediaNode
    except ImportError as error:
        raise StartupError(
            f"the media core is not built for this Python ({error}); "
            "run `make run`, or `maturin develop --release`",
            code="media_core_missing",
        ) from None
    wanted = MediaNodeSettings(
        viewer_host=settings.media_host,
        viewer_port=settings.media_port,
        rtsp_port=settings.media_rtsp_port,
        rtp_host=settings.rtp_host,
        rtp_port_min=settings.rtp_port_min,
        rtp_port_max=settings.rtp_port_max,
        reactors=settings.media_reactors,
        gop_max_bytes=settings.gop_max_bytes,
        viewer_queue_bytes=settings.viewer_queue_bytes,
        viewer_queue_ms=settings.viewer_queue_ms,
        media_timeout_s=settings.media_timeout_s,
        tls=read_identity(settings),
    )
    try:
        return CoreMediaNode(wanted, ticket_key=ticket_key)
    except CertificateUnusable as error:
        raise unusable(error.message) from None
    except RtspOutletUnavailable as error:
        raise StartupError(
            f"the RTSP outlet cannot listen on {settings.media_host}:{settings.media_rtsp_port} "
            f"({error.message}); change media_host or media_rtsp_port (--media-host, --media-rtsp-port; "
            "COMMONVIEW_MEDIA_HOST, COMMONVIEW_MEDIA_RTSP_PORT)",
            code="address_unusable",
        ) from None
    except MediaError as error:
        raise StartupError(
            f"the video outlet cannot listen on {settings.media_host}:{settings.media_port} "
            f"({error.message}); change media_host or media_port (--media-host, --media-port; "
            "COMMONVIEW_MEDIA_HOST, COMMONVIEW_MEDIA_PORT)",
            code="address_unusable",
        ) from None


def cannot_listen(what: str, host: str, port: int | None, error: OSError, *settings: str) -> StartupError:
    """The sentence for an address that cannot be bound."""
    where = host if port is None else f"{host}:{port}"
    remedies = " or ".join(settings)
    flags = ", ".join("--" + name.replace("_", "-") for name in settings)
    variables = ", ".join("COMMONVIEW_" + name.upper() for name in settings)
    # uvloop and getaddrinfo put the whole story into the message; the number gives the plain word
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else (error.strerror or str(error))
    return StartupError(
        f"{what} cannot listen on {where} ({reason}); change {remedies} ({flags}; {variables})",
        code="address_unusable",
    )


def warn_of_plain_http(settings: Settings) -> None:
    """Passwords and video over a network without TLS deserve a word in the log."""
    if is_loopback(settings.http_host) or settings.public_url.startswith("https://"):
        return
    log.warning(
        "the console on %s is reached without TLS: put a TLS proxy in front of it and set public_url, "
        "or keep it inside a closed network",
        settings.http_host,
    )


def console_url(settings: Settings, bound: socket.socket) -> str:
    """The address an operator types, without a trailing slash."""
    if settings.public_url:
        parts = urlsplit(settings.public_url)
        return f"{parts.scheme}://{parts.netloc}"
    host = settings.http_host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
