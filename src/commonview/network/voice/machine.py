"""The life of one talk as a state machine: events and time in, commands out. Pure.

    ASKING --promised--> CALLING --the device's INVITE answered, way open--> CONNECTED <--> SPEAKING
       |                    ^   \\                                               |
       |  broadcast refused |    never called, refused, busy                   hung up by either side,
       +---- our INVITE ----+                 \\                              right over, way lost
                                               v                                 v
                                            FAILED                        ENDED or FAILED

Whatever the way out, a dialog that stands is ended with BYE and the media node's end of the talk is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from commonview.network.model import Failure, FailureCode
from commonview.network.quirks import TalkDialect
from commonview.network.voice.model import TalkEnd, TalkHop, TalkHopKind, TalkState

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.network.live_machine import Moment
    from commonview.network.model import Params

_OVER = frozenset({TalkState.ENDED, TalkState.FAILED})


class Command(Enum):
    """What the shell must do next."""

    ASK = "ask"  # Notify/Broadcast
    INVITE = "invite"  # our INVITE with s=Talk
    ABANDON = "abandon"  # stop asking or inviting: CANCEL
    BYE = "bye"
    CLOSE = "close"  # close the talk at the media node, give numbers back, tell who listens


@dataclass(frozen=True, slots=True)
class TalkLimits:
    """Waiting times in seconds.

    ``call_s``: how long a device may take to call after it was asked; ``connect_s``: to open the way for the
    voice once the call is answered (body-worn cameras are late, trap 44).
    """

    call_s: float = 10.0
    connect_s: float = 12.0


@dataclass(slots=True)
class TalkMachine:
    """One talk. Every method takes the moment and returns what to do; `tick` is due at `wake_at`."""

    limits: TalkLimits
    started: Moment
    ends: float  # monotonic: the end of the right to speak
    dialect: TalkDialect = TalkDialect.BROADCAST
    state: TalkState = TalkState.ASKING
    end: TalkEnd | None = None
    failure: Failure | None = None
    ended_at: datetime | None = None
    hops: list[TalkHop] = field(default_factory=list)
    dialog: bool = False
    _due: float | None = None
    refusal: Failure | None = None  # of the broadcast, which our own call stands in for
    _open: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in _OVER

    @property
    def awaits_call(self) -> bool:
        """Whether an INVITE of the device is expected."""
        return (
            self.state in (TalkState.ASKING, TalkState.CALLING)
            and self.dialect is TalkDialect.BROADCAST
            and not self.dialog
        )

    # -- signalling

    def start(self, now: Moment) -> list[Command]:
        """Begin as the device is spoken with: ask it to call, or call it."""
        self._due = now.mono + self.limits.call_s
        if self.dialect is TalkDialect.BROADCAST:
            return [Command.ASK]
        self.state = TalkState.CALLING
        return [Command.INVITE]

    def asked(self, target_id: str, now: Moment) -> None:
        """The Broadcast is on its way."""
        self._note(TalkHopKind.ASKED, now, {"target": target_id})

    def promised(self, now: Moment) -> None:
        """The device says that it will call."""
        if self.state is TalkState.ASKING:
            self._note(TalkHopKind.PROMISED, now, {})
            self.state = TalkState.CALLING

    def broadcast_refused(self, params: Params, now: Moment) -> list[Command]:
        """It will not call: then we do (2016). Nothing when it has called all the same."""
        if not self.awaits_call:
            return []
        self._note(TalkHopKind.BROADCAST_REFUSED, now, params)
        self.refusal = Failure(FailureCode.BROADCAST_REFUSED, params)
        self.dialect = TalkDialect.INVITE
        self.state = TalkState.CALLING
        self._due = None
        return [Command.INVITE]

    def called(self, address: str, now: Moment) -> None:
        """The device's INVITE came."""
        self._note(TalkHopKind.CALLED, now, {"address": address})

    def invited(self, address: str, now: Moment) -> None:
        """Our INVITE is on its way; how long it may take is the caller's to bound."""
        self._due = None
        self._note(TalkHopKind.INVITED, now, {"address": address})

    def answered(self, params: Params, now: Moment) -> list[Command]:
        """The call stands; one that is over already is ended at once."""
        self.dialog = True
        if self.over:
            return self._leave_dialog()
        self.state = TalkState.CALLING
        self._note(TalkHopKind.ANSWERED, now, params)
        self._due = now.mono + self.limits.connect_s
        self._flow()
        return []

    def acknowledged(self, now: Moment) -> None:
        """The device's ACK came."""
        if not self.over:
            self._note(TalkHopKind.ACKNOWLEDGED, now, {})

    def device_ended(self, now: Moment) -> list[Command]:
        """The device said BYE, or CANCEL before there was a dialog."""
        self.dialog = False
        return self.stop(TalkEnd.DEVICE_ENDED, now)

    # -- media

    def connected(self, peer: str, now: Moment) -> None:
        """The way to the device stands."""
        if not self.over and not self._open:
            self._open = True
            self._note(TalkHopKind.CONNECTED, now, {"peer": peer})
            self._flow()

    def _flow(self) -> None:
        if self.dialog and self._open and self.state is TalkState.CALLING:
            self.state = TalkState.CONNECTED
            self._due = None

    def joined(self, now: Moment) -> None:
        """The speaker has the word."""
        if not self.over:
            self._note(TalkHopKind.SPEAKER_JOINED, now, {})
            if self.state is TalkState.CONNECTED:
                self.state = TalkState.SPEAKING

    def left(self, params: Params, now: Moment) -> None:
        """The speaker is gone."""
        if not self.over:
            self._note(TalkHopKind.SPEAKER_LEFT, now, params)

    # -- endings

    def fail(self, failure: Failure, now: Moment) -> list[Command]:
        """End the talk for a reason; when our own call was a second try, what it stood in for is told too."""
        if self.over:
            return []
        refusal = self.refusal
        if refusal is not None and failure.code in (FailureCode.INVITE_REFUSED, FailureCode.INVITE_TIMEOUT):
            tried = failure.params.get("status", failure.code.value)
            failure = Failure(refusal.code, {**refusal.params, "invite": tried})
        self.failure = failure
        return self._close(
            TalkState.FAILED, TalkHopKind.FAILED, {"code": failure.code.value, **failure.params}, now
        )

    def stop(self, end: TalkEnd, now: Moment) -> list[Command]:
        """End the talk because somebody wants it ended."""
        if self.over:
            return []
        self.end = end
        return self._close(TalkState.ENDED, TalkHopKind.ENDED, {"reason": end.value}, now)

    def _close(self, state: TalkState, kind: TalkHopKind, params: Params, now: Moment) -> list[Command]:
        abandon = [] if self.dialog else [Command.ABANDON]
        self.state = state
        self.ended_at = now.at
        self._due = None
        self._note(kind, now, params)
        return [*abandon, *self._leave_dialog(), Command.CLOSE]

    def _leave_dialog(self) -> list[Command]:
        if not self.dialog:
            return []
        self.dialog = False
        return [Command.BYE]

    # -- time

    def wake_at(self) -> float | None:
        """Monotonic time of the next thing that happens by itself, ``None`` when it is over."""
        if self.over:
            return None
        return self.ends if self._due is None else min(self._due, self.ends)

    def tick(self, now: Moment) -> list[Command]:
        """Do what is due."""
        if self.over:
            return []
        if now.mono >= self.ends:
            return self.stop(TalkEnd.GRANT_ENDED, now)
        if self._due is None or now.mono < self._due:
            return []
        if self.dialog:
            return self.fail(Failure(FailureCode.TCP_CONNECT_FAILED, {"why": "connect_timeout"}), now)
        return self.fail(Failure(FailureCode.NEVER_CALLED, {"seconds": round(self.limits.call_s)}), now)

    def _note(self, kind: TalkHopKind, now: Moment, params: Params) -> None:
        elapsed_ms = max(0, round((now.at - self.started.at).total_seconds() * 1000))
        self.hops.append(TalkHop(kind, now.at, elapsed_ms, params))
