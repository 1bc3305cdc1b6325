"""Subscriptions without sockets: both ends as machines, time passed in.

RFC 6665, GB/T 28181-2022 9.11 and Annex N. A `Subscriber` says when to send SUBSCRIBE and with which Expires,
and is told what came back; a `Notifier` keeps the time a subscriber was granted. Who sends, waits and knows
the bodies stands around them.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from commonview.wire.sip.errors import SipParseError

MIN_PERIOD_S: Final = 30
"""Shorter periods make devices forget a subscription before its refresh (WVP commit e91e96077)."""
DEFAULT_PERIOD_S: Final = 600
"""Annex N of the 2022 edition, for the catalogue."""
MAX_PERIOD_S: Final = 7 * 86_400

_WORD: Final = r"[A-Za-z0-9\-.!%*_+`'~]{1,64}"
_EVENT: Final = re.compile(rf"[ \t]*({_WORD})[ \t]*(;.*)?", re.DOTALL)
_EVENT_ID: Final = re.compile(rf";[ \t]*id[ \t]*=[ \t]*\"?({_WORD})", re.IGNORECASE)
_PARAM_SECONDS: Final = re.compile(r"[ \t]*([0-9]{1,10})")
_SECONDS: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class EventType:
    """``Event: Catalog;id=1``: the package, and the id that tells two subscriptions of one dialog apart."""

    package: str
    id: str = ""

    @staticmethod
    def parse(value: str) -> EventType:
        """Parse an Event value; parameters other than id are ignored. Raises SipParseError(400)."""
        found = _EVENT.fullmatch(value)
        if found is None:
            raise SipParseError(400, "malformed Event")
        number = _EVENT_ID.search(found.group(2) or "")
        return EventType(found.group(1), number.group(1) if number else "")

    def encode(self) -> str:
        """The header value."""
        return f"{self.package};id={self.id}" if self.id else self.package

    def same_package(self, package: str) -> bool:
        """Whether this is that package; devices write ``catalog`` and ``Catalog``."""
        return self.package.lower() == package.lower()


class Substate(enum.Enum):
    """What Subscription-State says (RFC 6665 4.1.3)."""

    ACTIVE = "active"
    PENDING = "pending"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """``Subscription-State: active;expires=600``."""

    substate: Substate = Substate.ACTIVE
    expires_s: int | None = None
    reason: str = ""
    retry_after_s: int | None = None

    @staticmethod
    def parse(value: str | None) -> SubscriptionState:
        """Parse a Subscription-State value; absent or unknown means active, as devices mean it."""
        parts = [part.strip() for part in (value or "").split(";")]
        try:
            substate = Substate(parts[0].lower())
        except ValueError:
            substate = Substate.ACTIVE
        params = {name.strip().lower(): text for name, _, text in (part.partition("=") for part in parts[1:])}
        return SubscriptionState(
            substate,
            _param_seconds(params.get("expires")),
            params.get("reason", "").strip().lower()[:64],
            _param_seconds(params.get("retry-after")),
        )

    def encode(self) -> str:
        """The header value."""
        text = self.substate.value
        if self.expires_s is not None:
            text += f";expires={self.expires_s}"
        return f"{text};reason={self.reason}" if self.reason else text


def _param_seconds(text: str | None) -> int | None:
    found = _PARAM_SECONDS.match(text or "")
    return min(int(found.group(1)), MAX_PERIOD_S) if found else None


def read_expires(value: str | None) -> int | None:
    """Seconds of an Expires value; None when absent or no number (Huawei, WVP commit 916553c55)."""
    if value is None or _SECONDS.fullmatch(value.strip()) is None:
        return None
    return min(int(value.strip()), MAX_PERIOD_S)


# The side that subscribes


class Phase(enum.Enum):
    """Where a subscription of ours stands."""

    IDLE = "idle"
    ASKING = "asking"  # the first SUBSCRIBE, or one in a new dialog, is under way
    ACTIVE = "active"
    WAITING = "waiting"  # nothing came, or the peer ended it: asked again later
    REFUSED = "refused"  # asking again would bring the same answer
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send SUBSCRIBE with this Expires: in the dialog there is, or without one when ``fresh``."""

    expires_s: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class RetryTiming:
    """How long to wait after a failure: ``first_s``, doubled up to ``most_s``, plus a random share."""

    first_s: float = 60.0
    most_s: float = 1800.0
    share: float = 0.25


# What another SUBSCRIBE may cure; every other refusal is the peer's last word until it registers again.
_PASSING: Final = frozenset((408, 480, 481, 491, 500, 503, 504))


_USUAL: Final = RetryTiming()


class Subscriber:
    """One subscription of ours: send what each call returns, call `advance` when `wake_at` is due."""

    __slots__ = (
        "_again",
        "_chance",
        "_closing",
        "_ends",
        "_failures",
        "_has_dialog",
        "_in_flight",
        "_period_s",
        "_retry",
        "phase",
        "status",
        "wake_at",
    )

    def __init__(
        self,
        period_s: int = DEFAULT_PERIOD_S,
        *,
        retry: RetryTiming | None = None,
        chance: Callable[[], float],
    ) -> None:
        """``chance`` gives numbers in [0, 1), so that a city does not ask in step after a restart."""
        self._period_s = min(max(period_s, MIN_PERIOD_S), MAX_PERIOD_S)
        self._retry = retry or _USUAL
        self._chance = chance
        self._failures = 0
        self._in_flight = False
        self._has_dialog = False
        self._ends = math.inf
        self._again = False
        self._closing = False
        self.phase = Phase.IDLE
        self.status: int | None = None
        self.wake_at: float | None = None

    def start(self, now: float) -> Subscribe | None:
        """Subscribe in a new dialog: at first, and when the peer has moved (WVP commit 5cd2e2c41)."""
        self._failures = 0
        return self._ask_afresh(now)

    def _ask_afresh(self, now: float) -> Subscribe | None:
        self.wake_at = None
        self._has_dialog = False
        self.phase = Phase.ASKING
        if self._in_flight:
            self._again = True  # what is under way goes to a dialog nobody remembers
            return None
        self._in_flight = True
        return Subscribe(self._period_s, fresh=True)

    def advance(self, now: float) -> Subscribe | None:
        """The time of `wake_at` has come: refresh, or ask again."""
        if self.wake_at is None or now < self.wake_at:
            return None
        self.wake_at = None
        if self.phase is Phase.WAITING:
            return self._ask_afresh(now)
        if self.phase is not Phase.ACTIVE or self._in_flight:
            return None
        self._in_flight = True
        return Subscribe(self._period_s, fresh=not self._has_dialog)

    def stop(self, now: float) -> Subscribe | None:
        """End it: Expires 0 in the dialog, and nothing when there is none."""
        was_active = self._has_dialog
        self.phase, self.wake_at, self._has_dialog = Phase.STOPPED, None, False
        if self._in_flight:
            self._closing = True  # what is under way may still make a dialog
            return None
        if not was_active:
            return None
        self._in_flight = True
        return Subscribe(0, fresh=False)

    def answered(
        self, now: float, status: int, *, expires_s: int | None, min_expires_s: int | None = None
    ) -> Subscribe | None:
        """The final answer to our SUBSCRIBE; ``expires_s`` None when it has no Expires (trap 9)."""
        self._in_flight = False
        self.status = status
        if self.phase is Phase.STOPPED:
            closing, self._closing = self._closing, False
            self._in_flight = closing and 200 <= status < 300
            return Subscribe(0, fresh=False) if self._in_flight else None
        if self._again:
            self._again = False
            return self._ask_afresh(now)
        if 200 <= status < 300:
            self._granted(now, expires_s)
            return None
        if status == 423 and min_expires_s is not None and self._period_s < min_expires_s <= MAX_PERIOD_S:
            self._period_s = min_expires_s
            return self._ask_afresh(now)
        if self._has_dialog:
            # The dialog is gone, by its peer's restart as a rule: a new one is the cure (WVP b151aec5a).
            return self._ask_afresh(now)
        if status in _PASSING:
            self._wait(now, None)
        else:
            self.phase = Phase.REFUSED
        return None

    def unanswered(self, now: float) -> Subscribe | None:
        """No final answer came, or it could not be sent."""
        return self.answered(now, 408, expires_s=None)

    def _granted(self, now: float, expires_s: int | None) -> None:
        granted = self._period_s if expires_s is None else min(expires_s, self._period_s)
        if granted <= 0:
            self._wait(now, None)
            return
        self._failures = 0
        self._has_dialog = True
        self.phase = Phase.ACTIVE
        self._expect_end(now, granted)

    def _expect_end(self, now: float, granted: float) -> None:
        self._ends = now + granted
        self.wake_at = self._ends - min(max(granted / 5, 5.0), 60.0, granted / 2)

    def notified(self, now: float, state: SubscriptionState) -> Subscribe | None:
        """A NOTIFY came; it may end the subscription or shorten it."""
        if self.phase in (Phase.STOPPED, Phase.REFUSED, Phase.IDLE):
            return None
        if state.substate is not Substate.TERMINATED:
            if state.expires_s and self.phase is Phase.ACTIVE and now + state.expires_s < self._ends - 1:
                self._expect_end(now, state.expires_s)
            return None
        self._has_dialog = False
        if self._in_flight:
            self._again = True
            return None
        if state.reason in ("deactivated", "timeout"):
            return self._ask_afresh(now)  # RFC 6665 4.1.3: subscribe again at once
        if state.reason in ("rejected", "noresource", "invariant"):
            self.phase, self.wake_at = Phase.REFUSED, None
            return None
        self._wait(now, state.retry_after_s)
        return None

    def _wait(self, now: float, retry_after_s: float | None) -> None:
        retry = self._retry
        delay = min(retry.first_s * 2.0 ** min(self._failures, 16), retry.most_s)
        delay = max(delay, retry_after_s or 0)
        self._failures += 1
        self.phase = Phase.WAITING
        self.wake_at = now + delay * (1 + retry.share * self._chance())


# The side that notifies


class Notifier:
    """The time one subscriber was granted. It lasts 30 s at least, whatever was asked."""

    def __init__(self, now: float, expires_s: int | None) -> None:
        """``expires_s``: what the SUBSCRIBE asks, None when it does not say (trap 9)."""
        self.granted_s = 0
        self.ended = False
        self._ends = now
        self.refresh(now, expires_s)

    @property
    def wake_at(self) -> float | None:
        """When it runs out; None once it has ended."""
        return None if self.ended else self._ends

    def refresh(self, now: float, expires_s: int | None) -> int:
        """Another SUBSCRIBE in the dialog; returns the Expires to answer. 0 ends the subscription."""
        self.granted_s = DEFAULT_PERIOD_S if expires_s is None else min(expires_s, MAX_PERIOD_S)
        # RFC 6665 4.2.1.1: never more than was asked; what is asked too short is kept longer in silence.
        self._ends = now + max(self.granted_s, MIN_PERIOD_S)
        self.ended = self.granted_s == 0
        return self.granted_s

    def expired(self, now: float) -> bool:
        """Whether it has run out now; it has ended then."""
        if not self.ended and now >= self._ends:
            self.ended = True
            return True
        return False

    def end(self) -> None:
        """The notifier ends it."""
        self.ended = True

    def state(self, now: float, reason: str = "timeout") -> SubscriptionState:
        """Subscription-State of a NOTIFY sent now; ``reason`` is told once it has ended."""
        if self.ended:
            return SubscriptionState(Substate.TERMINATED, reason=reason)
        left = min(self._ends - now, self.granted_s)
        return SubscriptionState(Substate.ACTIVE, expires_s=max(1, math.ceil(left)))
