"""How many event streams may be open, by session and in all."""

from collections.abc import Iterator
from contextlib import contextmanager

from commonview.foundation.errors import CommonviewError
from commonview.security import Session

STREAMS_PER_SESSION = 8
STREAMS = 1000


class TooManyStreams(CommonviewError):
    """This session, or the whole server, has as many event streams as it may."""

    default_code = "too_many_event_streams"
    http_status = 429


class EventStreams:
    """Counts the open streams, so that nobody can hold all of them."""

    def __init__(self) -> None:
        self._by_session: dict[str, int] = {}

    def check(self, session: Session) -> None:
        """Whether one more may open. Raises: TooManyStreams."""
        if self._by_session.get(session.id, 0) >= STREAMS_PER_SESSION or self.open >= STREAMS:
            raise TooManyStreams("too many event streams are open", retry_after_s=10)

    @contextmanager
    def held(self, session: Session) -> Iterator[None]:
        """Counted while the block runs."""
        self._by_session[session.id] = self._by_session.get(session.id, 0) + 1
        try:
            yield
        finally:
            left = self._by_session[session.id] - 1
            if left:
                self._by_session[session.id] = left
            else:
                del self._by_session[session.id]

    @property
    def open(self) -> int:
        """How many streams are open."""
        return sum(self._by_session.values())
