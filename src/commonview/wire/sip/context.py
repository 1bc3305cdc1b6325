"""What both halves of the SIP core share: outputs, timers, dialogs, counters, limits, randomness."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from commonview.wire.sip.counters import SipCounters
from commonview.wire.sip.dialog import Dialog, DialogId
from commonview.wire.sip.flow import Flow
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.timers import TimerHeap, Timing
from commonview.wire.sip.transaction import ClientTransaction, ServerTransaction


class Send(NamedTuple):
    """Put these bytes on that flow."""

    flow: Flow
    data: bytes


class RequestReceived(NamedTuple):
    """A new request for the user; ``tx.dialog`` is set when it belongs to one."""

    tx: ServerTransaction


class ResponseReceived(NamedTuple):
    """A response to a request of ours; for an INVITE possibly several provisional ones before the final."""

    tx: ClientTransaction
    response: SipResponse


class TransactionTimeout(NamedTuple):
    """No final response in 64*T1, or no ACK for our 2xx."""

    tx: ClientTransaction | ServerTransaction


class TransactionLost(NamedTuple):
    """The flow went away before the transaction ended."""

    tx: ClientTransaction | ServerTransaction


class AckReceived(NamedTuple):
    """The ACK for our 2xx to an INVITE."""

    tx: ServerTransaction
    request: SipRequest


class Cancelled(NamedTuple):
    """The peer withdrew its INVITE; 487 has been sent."""

    tx: ServerTransaction


Output = (
    Send | RequestReceived | ResponseReceived | TransactionTimeout | TransactionLost | AckReceived | Cancelled
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what peers can make the core remember.

    ``replays`` answered non-INVITE requests over UDP keep their answer for timer J, the oldest going first
    when there are more, or more than ``replay_bytes`` of them. INVITE requests may weigh ``invite_bytes``
    together, and with more than ``light_above`` requests open only those below ``light_bytes`` are taken.
    ``dialogs`` are those that peers open, ``own_dialogs`` those that we do: two subscriptions to each of a
    hundred thousand devices must not keep anybody from calling. ``answer_within_s`` is how long a user may
    leave an INVITE unanswered.
    """

    server_transactions: int = 16384
    invite_transactions: int = 4096
    client_transactions: int = 65536
    replays: int = 32768
    replay_bytes: int = 32 * 1024 * 1024
    invite_bytes: int = 32 * 1024 * 1024
    light_above: int = 512
    light_bytes: int = 8192
    dialogs: int = 65536
    own_dialogs: int = 1 << 20
    answer_within_s: float = 180.0


CallPolicy = Callable[[SipRequest, Flow], int]
"""Whether an INVITE that opens a dialog is taken: 200, or the status that refuses it."""

_POOL_BYTES: Final = 4096


class Tokens:
    """Unpredictable hexadecimal tokens for tags, branches and Call-IDs."""

    __slots__ = ("_at", "_key", "_pool", "_random")

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._key = random(16)
        self._pool = ""
        self._at = 0

    def take(self, chars: int = 16) -> str:
        """`chars` hexadecimal characters, 4 random bits each."""
        end = self._at + chars
        if end > len(self._pool):
            self._pool = self._random(_POOL_BYTES).hex()
            self._at, end = 0, chars
        token = self._pool[self._at : end]
        self._at = end
        return token

    def stable(self, text: str) -> str:
        """A token that is always the same for one text: the tag of a stateless answer (RFC 3261 8.2.7)."""
        data = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2s(data, key=self._key, digest_size=8).hexdigest()


class DialogTable:
    """Dialogs by id; by Call-ID and peer host for devices that lose their tags.

    At most `limit` that peers opened, and `own_limit` of ours.
    """

    __slots__ = ("_by_call", "_by_id", "_limit", "_ours", "_own_limit")

    def __init__(self, limit: int, own_limit: int) -> None:
        self._limit = limit
        self._own_limit = own_limit
        self._ours = 0
        self._by_id: dict[DialogId, Dialog] = {}
        self._by_call: dict[str, list[Dialog]] = {}

    @property
    def full(self) -> bool:
        """Whether another dialog of a peer would exceed the limit."""
        return len(self._by_id) - self._ours >= self._limit

    @property
    def full_of_ours(self) -> bool:
        """Whether another dialog of ours would exceed the limit."""
        return self._ours >= self._own_limit

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, dialog: Dialog) -> None:
        """Remember a dialog, in place of one with the same id."""
        self.remove(dialog)
        self._by_id[dialog.id] = dialog
        self._ours += dialog.ours
        self._by_call.setdefault(dialog.call_id, []).append(dialog)

    def remove(self, dialog: Dialog) -> None:
        """Forget a dialog; an unknown one is no error."""
        known = self._by_id.pop(dialog.id, None)
        if known is None:
            return
        self._ours -= known.ours
        siblings = self._by_call[known.call_id]
        siblings.remove(known)
        if not siblings:
            del self._by_call[known.call_id]

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Dialog | None:
        """The dialog with exactly that id."""
        return self._by_id.get((call_id, local_tag, remote_tag))

    def find_loosely(self, call_id: str, peer_host: str) -> Dialog | None:
        """The one dialog of that Call-ID with that host, or None when there is none or more than one."""
        found = [dialog for dialog in self._by_call.get(call_id, ()) if dialog.peer_host == peer_host]
        return found[0] if len(found) == 1 else None


@dataclass(slots=True)
class CoreContext:
    """Shared state of one core."""

    timing: Timing
    limits: Limits
    tokens: Tokens
    user_agent: str
    allow: tuple[str, ...]
    takes_calls: bool | CallPolicy = True
    register_headers: tuple[tuple[str, str], ...] = ()
    counters: SipCounters = field(default_factory=SipCounters)
    outputs: deque[Output] = field(default_factory=deque)
    dialogs: DialogTable = field(init=False)
    client_timers: TimerHeap[ClientTransaction] = field(default_factory=TimerHeap)
    server_timers: TimerHeap[ServerTransaction] = field(default_factory=TimerHeap)

    def __post_init__(self) -> None:
        self.dialogs = DialogTable(self.limits.dialogs, self.limits.own_dialogs)

    def send(self, flow: Flow, data: bytes) -> None:
        """Queue bytes for a flow."""
        self.counters.sent += 1
        self.outputs.append(Send(flow, data))
