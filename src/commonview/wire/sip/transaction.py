"""SIP transactions as tables of state and event (RFC 3261 17, RFC 6026).

Four machines: INVITE and non-INVITE, client and server. A table maps (state, event) to the next state and
what to do; a pair that is not in the table changes nothing and is counted by whoever fed it. The transaction
objects hold state only; `commonview.wire.sip.core` carries the actions out.

    INVITE client      CALLING -> PROCEEDING -> COMPLETED -> TERMINATED      (refused: ACK sent here)
                                             -> ACCEPTED  -> TERMINATED      (2xx: ACK sent by the user, RFC
                                             6026)
    non-INVITE client  TRYING  -> PROCEEDING -> COMPLETED -> TERMINATED
    INVITE server      PROCEEDING -> COMPLETED -> CONFIRMED -> TERMINATED
                                  -> ACCEPTED  -> TERMINATED
    non-INVITE server  TRYING  -> PROCEEDING -> COMPLETED -> TERMINATED
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonview.wire.sip.dialog import Dialog
    from commonview.wire.sip.facts import RequestFacts
    from commonview.wire.sip.flow import Flow
    from commonview.wire.sip.message import SipRequest, SipResponse


class State(enum.Enum):
    """States of all four machines."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"

    # Members are singletons: hashing by identity is right and several times faster than by name.
    __hash__ = object.__hash__


class Event(enum.Enum):
    """What can happen to a transaction."""

    REQUEST = "the request again"
    ACK = "ACK for a refusal"
    ACK_SUCCESS = "ACK for a 2xx"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx to 6xx"
    RETRANSMIT = "timer A, E or G"
    GIVE_UP = "timer B, F or H"
    LINGER = "timer D, I, J, K, L or M"
    TRANSPORT_ERROR = "the flow is gone"

    __hash__ = object.__hash__


class Action(enum.Enum):
    """What a step asks the core to do, in order."""

    SEND = "send the request or response again, or for the first time"
    BACK_OFF = "arm the retransmit timer with a doubled interval (unreliable transport, or a 2xx)"
    STOP_RETRANSMIT = "disarm the retransmit timer"
    STOP_GIVE_UP = "disarm the give-up timer"
    PATIENCE = "arm the give-up timer, 64*T1"
    LINGER = "arm the linger timer (zero on reliable transports where the RFC says so)"
    LINGER_LONG = "arm the linger timer, 64*T1 on every transport (RFC 6026 timers L and M)"
    ACK = "acknowledge the refusal"
    DELIVER = "hand the response or ACK to the user"
    REPEAT_ACK = "answer a repeated 2xx with the ACK sent before"
    TIMED_OUT = "tell the user that nothing came"
    LOST = "tell the user that the flow is gone"


@dataclass(frozen=True, slots=True)
class Step:
    """One row: where to go, what to do."""

    state: State
    actions: tuple[Action, ...] = ()


Table = Mapping[tuple[State, Event], Step]

_S, _E, _A = State, Event, Action

INVITE_CLIENT: Final[Table] = {
    (_S.CALLING, _E.RETRANSMIT): Step(_S.CALLING, (_A.SEND, _A.BACK_OFF)),
    (_S.CALLING, _E.GIVE_UP): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.CALLING, _E.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.LOST,)),
    (_S.CALLING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.DELIVER)),
    (_S.CALLING, _E.SUCCESS): Step(
        _S.ACCEPTED, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.DELIVER, _A.LINGER_LONG)
    ),
    (_S.CALLING, _E.FAILURE): Step(
        _S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.ACK, _A.DELIVER, _A.LINGER)
    ),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.DELIVER,)),
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.ACCEPTED, (_A.STOP_GIVE_UP, _A.DELIVER, _A.LINGER_LONG)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.STOP_GIVE_UP, _A.ACK, _A.DELIVER, _A.LINGER)),
    (_S.PROCEEDING, _E.GIVE_UP): Step(_S.TERMINATED, (_A.TIMED_OUT,)),  # after CANCEL, RFC 3261 9.1
    (_S.PROCEEDING, _E.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.LOST,)),
    (_S.COMPLETED, _E.FAILURE): Step(_S.COMPLETED, (_A.ACK,)),
    (_S.COMPLETED, _E.LINGER): Step(_S.TERMINATED),
    (_S.COMPLETED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED),
    (_S.ACCEPTED, _E.SUCCESS): Step(_S.ACCEPTED, (_A.REPEAT_ACK,)),
    (_S.ACCEPTED, _E.LINGER): Step(_S.TERMINATED),
    (_S.ACCEPTED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED),
}

NON_INVITE_CLIENT: Final[Table] = {
    (_S.TRYING, _E.RETRANSMIT): Step(_S.TRYING, (_A.SEND, _A.BACK_OFF)),
    (_S.TRYING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.DELIVER,)),
    (_S.PROCEEDING, _E.RETRANSMIT): Step(_S.PROCEEDING, (_A.SEND, _A.BACK_OFF)),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.DELIVER,)),
    (_S.COMPLETED, _E.LINGER): Step(_S.TERMINATED),
    (_S.COMPLETED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED),
} | {
    (state, event): step
    for state in (_S.TRYING, _S.PROCEEDING)
    for event, step in (
        (_E.SUCCESS, Step(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.DELIVER, _A.LINGER))),
        (_E.FAILURE, Step(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.DELIVER, _A.LINGER))),
        (_E.GIVE_UP, Step(_S.TERMINATED, (_A.TIMED_OUT,))),
        (_E.TRANSPORT_ERROR, Step(_S.TERMINATED, (_A.LOST,))),
    )
}

# On the server side PROVISIONAL, SUCCESS and FAILURE are what our user answers.
INVITE_SERVER: Final[Table] = {
    (_S.PROCEEDING, _E.REQUEST): Step(_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,)),
    # RFC 3261 13.3.1.4: a 2xx is repeated until its ACK comes, over TCP as well.
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.ACCEPTED, (_A.STOP_GIVE_UP, _A.SEND, _A.BACK_OFF, _A.LINGER_LONG)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.SEND, _A.BACK_OFF, _A.PATIENCE)),
    (_S.PROCEEDING, _E.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.LOST,)),
    (_S.COMPLETED, _E.REQUEST): Step(_S.COMPLETED, (_A.SEND,)),
    (_S.COMPLETED, _E.RETRANSMIT): Step(_S.COMPLETED, (_A.SEND, _A.BACK_OFF)),
    (_S.COMPLETED, _E.ACK): Step(_S.CONFIRMED, (_A.STOP_RETRANSMIT, _A.STOP_GIVE_UP, _A.LINGER)),
    (_S.COMPLETED, _E.GIVE_UP): Step(_S.TERMINATED),
    (_S.COMPLETED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED),
    (_S.CONFIRMED, _E.REQUEST): Step(_S.CONFIRMED),
    (_S.CONFIRMED, _E.ACK): Step(_S.CONFIRMED),
    (_S.CONFIRMED, _E.LINGER): Step(_S.TERMINATED),
    (_S.CONFIRMED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED),
    (_S.ACCEPTED, _E.REQUEST): Step(_S.ACCEPTED),
    (_S.ACCEPTED, _E.RETRANSMIT): Step(_S.ACCEPTED, (_A.SEND, _A.BACK_OFF)),
    (_S.ACCEPTED, _E.ACK_SUCCESS): Step(_S.ACCEPTED, (_A.STOP_RETRANSMIT, _A.DELIVER)),
    (_S.ACCEPTED, _E.LINGER): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.ACCEPTED, _E.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.LOST,)),
}

# COMPLETED is kept outside the machine: what must be remembered for timer J is one answer, see `replay`.
NON_INVITE_SERVER: Final[Table] = {
    (_S.TRYING, _E.REQUEST): Step(_S.TRYING),
    (_S.TRYING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _E.REQUEST): Step(_S.PROCEEDING, (_A.SEND,)),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,)),
} | {
    (state, event): step
    for state in (_S.TRYING, _S.PROCEEDING)
    for event, step in (
        (_E.SUCCESS, Step(_S.COMPLETED, (_A.SEND, _A.LINGER))),
        (_E.FAILURE, Step(_S.COMPLETED, (_A.SEND, _A.LINGER))),
        (_E.TRANSPORT_ERROR, Step(_S.TERMINATED, (_A.LOST,))),
    )
}

# (method, CSeq number, Call-ID, branch, sent-by host, peer address): RFC 3261 17.2.3, with Call-ID and CSeq
# for devices whose branch is constant or absent, and the peer so that no other host can claim a transaction.
ServerKey = tuple[str, int, str, str, str, tuple[str, int]]
# (branch, method of the CSeq): RFC 3261 17.1.3.
ClientKey = tuple[str, str]


def event_of_status(status: int) -> Event:
    """PROVISIONAL, SUCCESS or FAILURE."""
    if status < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if status < 300 else Event.FAILURE


class ServerTransaction:
    """A request we were asked; what its answer needs, and where it stands. Made and driven by the core."""

    __slots__ = (
        "acknowledged",
        "cancelled",
        "dialog",
        "facts",
        "flow",
        "interval",
        "key",
        "local_tag",
        "merge_key",
        "request",
        "response",
        "since",
        "skeleton",
        "state",
        "user",
        "weight",
    )

    def __init__(
        self, key: ServerKey, request: SipRequest, flow: Flow, facts: RequestFacts, now: float
    ) -> None:
        self.key = key
        self.request = request
        self.flow = flow
        self.facts = facts
        self.since = now
        self.state = State.PROCEEDING if request.method == "INVITE" else State.TRYING
        self.response: bytes | None = None
        self.skeleton: str | None = None
        self.local_tag: str | None = facts.to_tag
        self.merge_key: tuple[str, str, int, str] | None = None
        self.dialog: Dialog | None = None
        self.interval = 0.0
        self.acknowledged = False
        self.cancelled = False
        self.weight = 0
        self.user: object = None

    @property
    def is_invite(self) -> bool:
        """Whether the INVITE machine drives it."""
        return self.request.method == "INVITE"

    @property
    def answered(self) -> bool:
        """Whether a final response was given."""
        return self.state not in (State.TRYING, State.PROCEEDING)


class ClientTransaction:
    """A request of ours. ``request`` is as sent, with its Via. Made and driven by the core."""

    __slots__ = (
        "abandoned",
        "ack",
        "cancel_wanted",
        "data",
        "dialog",
        "final",
        "flow",
        "interval",
        "key",
        "request",
        "state",
        "user",
    )

    def __init__(self, key: ClientKey, request: SipRequest, flow: Flow, data: bytes) -> None:
        self.key = key
        self.request = request
        self.flow = flow
        self.data = data
        self.state = State.CALLING if request.method == "INVITE" else State.TRYING
        self.interval = 0.0
        self.final: SipResponse | None = None
        self.dialog: Dialog | None = None
        self.ack: bytes | None = None
        self.cancel_wanted = False
        self.abandoned = False
        self.user: object = None

    @property
    def is_invite(self) -> bool:
        """Whether the INVITE machine drives it."""
        return self.request.method == "INVITE"
