"""One relay: a superior's call, the source it is served from, and the sender in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from commonview.network.calls import CallFailed
from commonview.network.cascade.model import Relay, RelayState
from commonview.network.history.offer import HistoryAsk
from commonview.network.history.source import HistorySource
from commonview.network.model import Failure, FailureCode, SessionState, Step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine

    from commonview.network.cascade.link import Link
    from commonview.network.cascade.model import RelayEnd
    from commonview.network.cascade.wish import Wish
    from commonview.network.directory import DeviceRecord
    from commonview.network.history.source import Ground
    from commonview.network.live import LiveSessions
    from commonview.network.model import Channel
    from commonview.network.sip_endpoint import ServerTransaction
    from commonview.security import Grant
    from commonview.wire.sip.dialog import Dialog

_PASSED_ON = frozenset({404, 480, 486, 488, 503})
"""Refusals of a device that mean the same to a superior; others are ours to explain: 480."""

_STATUS = {
    FailureCode.MEDIA_PORTS_EXHAUSTED: 486,
    FailureCode.SSRC_EXHAUSTED: 486,
    FailureCode.SIGNALLING_BUSY: 503,
}


class Source(Protocol):
    """Where the pictures of a relay come from."""

    stream_id: str

    @property
    def file_size(self) -> int | None:
        """Bytes of the file that is fetched, when that is known."""

    async def begin(self) -> None:
        """Have them come; returns when whoever sends them has agreed. Raises `CallFailed`."""

    def nudge(self) -> None:
        """Something about it changed."""

    def end(self) -> None:
        """They are not wanted here any more."""


class LiveRelaySource:
    """The house's one live session of this stream, with one more subscriber."""

    def __init__(
        self,
        live: LiveSessions,
        record: DeviceRecord,
        channel: Channel,
        access_id: str,
        stream_number: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._live = live
        self._access_id = access_id
        self._changed = asyncio.Event()
        session = live.start(record, channel, access_id, stream_number, headers)
        self.session_id = session.id
        self.stream_id = session.stream_id

    @property
    def file_size(self) -> int | None:
        """See `Source.file_size`."""
        return None

    async def begin(self) -> None:
        """See `Source.begin`."""
        while True:
            self._changed.clear()
            session = self._live.session(self.session_id)
            if session is None or session.state in (SessionState.FAILED, SessionState.ENDED):
                failure = None if session is None else session.failure
                raise CallFailed(failure or Failure(FailureCode.DEVICE_ENDED, {}))
            if session.state is SessionState.LIVE or _answered(session.timeline):
                return
            await self._changed.wait()

    def nudge(self) -> None:
        """See `Source.nudge`."""
        self._changed.set()

    def end(self) -> None:
        """See `Source.end`."""
        self._live.leave(self._access_id)


def _answered(timeline: tuple[object, ...]) -> bool:
    """Whether the last try was answered."""
    steps = [getattr(one, "step", None) for one in timeline]
    last = max((n for n, step in enumerate(steps) if step is Step.INVITED), default=-1)
    return Step.ANSWERED in steps[last + 1 :]


class HistoryRelaySource:
    """A piece of the past, called for this relay alone."""

    def __init__(
        self,
        ground: Ground,
        stream_id: str,
        record: DeviceRecord,
        channel: Channel,
        wish: Wish,
        *,
        headers: tuple[tuple[str, str], ...],
        on_hung_up: Callable[[], None],
        on_finished: Callable[[], None],
    ) -> None:
        assert wish.start is not None and wish.end is not None  # noqa: S101, PT018 - history has a span
        self.stream_id = stream_id
        self.source = HistorySource(
            ground, stream_id, record, channel, on_hung_up=on_hung_up, on_finished=on_finished
        )
        self._ask = HistoryAsk(channel.gb_id, wish.start, wish.end, wish.download_speed, headers)

    @property
    def file_size(self) -> int | None:
        """What the device said the file has, bytes."""
        return self.source.device_bytes

    def receive(self) -> None:
        """Open the receiver. Raises `CallFailed`."""
        self.source.receive()

    async def begin(self) -> None:
        """See `Source.begin`."""
        await self.source.invite(self._ask)

    def nudge(self) -> None:
        """Nothing waits here."""

    def end(self) -> None:
        """See `Source.end`."""
        self.source.close()


@dataclass(slots=True, eq=False)
class Run:
    """A relay as its keeper holds it."""

    shown: Relay
    link: Link
    wish: Wish
    record: DeviceRecord
    channel: Channel
    transaction: ServerTransaction
    grant: Grant | None = None
    source: Source | None = None
    ssrc: str = ""
    own_ssrc: bool = False
    port: int = 0
    sending: bool = False  # a sender was opened, and its end was not reported yet
    sent: bool = False  # a sender was opened: the node's report of its end closes the access record
    dialog: Dialog | None = None
    finished: bool = False
    paused: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.shown.state is RelayState.ENDED

    def show(self, **changes: object) -> None:
        """Change what others see."""
        self.shown = replace(self.shown, **changes)  # type: ignore[arg-type]


class Keeper(Protocol):
    """Who keeps the relays: ends them, forgets them, tells of them."""

    counters: Counter[str]

    def end(self, run: Run, end: RelayEnd, *, bye: bool = False) -> None:
        """Once: the sender closes, the source is let go, the superior hears it."""

    def forget(self, run: Run) -> None:
        """Nothing more will be said of it."""

    def changed(self, run: Run) -> None:
        """Tell who looks."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself."""


def status_for(failure: Failure) -> int:
    """What a superior is answered when its source failed."""
    if failure.code is FailureCode.INVITE_REFUSED:
        status = failure.params.get("status", 480)
        return int(status) if status in _PASSED_ON else 480
    return _STATUS.get(failure.code, 480)
