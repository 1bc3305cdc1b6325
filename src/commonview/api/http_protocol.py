"""HTTP/1.1 on a socket, with bounds: uvicorn's h11 protocol, and a limit on how long a request head may take.

h11 bounds the size of a head (uvicorn's httptools protocol does not), and uvicorn times idle connections
only; a client that sends a head byte by byte would hold its connection for good.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S = 10.0
HEAD_MAX_BYTES = 32 * 1024
CONNECTIONS_MAX = 2000


class BoundedH11Protocol(H11Protocol):
    """Closes a connection whose next request head is not complete in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection: its first request is due."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes came: the timer runs while a head is being waited for, not while a request is served."""
        super().data_received(data)
        # https://h11.readthedocs.io, "The state machine": IDLE is "no request has begun".
        if self.conn.their_state is h11.IDLE:
            if self._head_timer is None:
                self._arm()
        else:
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
