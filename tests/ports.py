"""Ports for programs that cannot be given port 0."""

from __future__ import annotations

import contextlib
import socket


def free_port() -> int:
    """A loopback port that was free a moment ago, for UDP and for TCP."""
    while True:
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            with contextlib.suppress(OSError):
                datagrams.bind(("127.0.0.1", port))
                return port
