"""A real media node for a test, on ports of its own."""

from __future__ import annotations

from commonview.media import CoreMediaNode, MediaNodeSettings
from tests.ports import free_port


def core_node(
    ticket_key: bytes, *, ports: int = 16, first: int = 0, media_timeout_s: float = 8.0
) -> CoreMediaNode:
    """One reactor; ``ports`` for media from ``first`` on, anywhere when that is 0. To be closed."""
    first = first or free_port() & ~1
    return CoreMediaNode(
        MediaNodeSettings(
            viewer_port=0,
            rtp_port_min=first,
            rtp_port_max=first + ports - 1,
            media_timeout_s=media_timeout_s,
            port_quarantine_s=0.2,
            reactors=1,
        ),
        ticket_key=ticket_key,
    )
