"""The life of one live session as a state machine: events and time in, commands out.

Pure. The shell in `live.py` carries the commands out (SIP, media node) and feeds back what happened. Phases:

    INVITING --answered--> ANSWERED --first key frame--> FLOWING
       |                      |                             |  media lost, device ended
       |  refused, timed out  |  no packets, no video       v
       +----------------------+---------> CLOSED <------ WAITING --back-off over--> INVITING
                                            ^                |  given up, nobody waits
                                            +----------------+

Every way into CLOSED leaves the camera with a BYE when a dialog stands, and the media node with a closed
stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from commonview.network.model import (
    EndReason,
    Failure,
    FailureCode,
    LiveSession,
    Params,
    SessionState,
    Step,
    TimelineStep,
    Viewer,
)

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.media import MediaTransport

_TIMELINE_LIMIT = 200
_VIEWER_STEPS = (Step.VIEWER_JOINED, Step.VIEWER_LEFT, Step.FIRST_PICTURE)


class Moment(NamedTuple):
    """Now, on both clocks: ``mono`` for timers, ``at`` for people."""

    mono: float
    at: datetime


class Phase(Enum):
    """See the drawing above."""

    INVITING = "inviting"
    ANSWERED = "answered"
    FLOWING = "flowing"
    WAITING = "waiting"
    CLOSED = "closed"


class Command(Enum):
    """What the shell must do next."""

    INVITE = "invite"
    ABANDON_INVITE = "abandon_invite"  # CANCEL; a 2xx that still comes is acknowledged and ended
    BYE = "bye"
    CLOSE = "close"  # close the stream at the media node and give the numbers back


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Waiting times of a live session, in seconds.

    ``place_s`` is how long a viewer that was promised a place may take to come; it matches the longest life
    of a media ticket. ``answer_media_s`` is a belt over the media node's own report of silence.
    """

    idle_stop_s: float = 15.0
    place_s: float = 60.0
    answer_media_s: float = 15.0
    retry_delays_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    steady_s: float = 30.0
    refusals_max: int = 3


@dataclass(slots=True)
class LiveMachine:
    """One session. Every method takes the moment and returns what to do; `tick` is due at `wake_at`."""

    id: str
    channel_id: str
    device_id: str
    transport: MediaTransport
    limits: LiveLimits
    started: Moment
    stream_number: int = 0
    phase: Phase = Phase.INVITING
    failure: Failure | None = None
    ended_at: datetime | None = None
    timeline: list[TimelineStep] = field(default_factory=list)
    viewers: dict[str, Viewer] = field(default_factory=dict)
    places: dict[str, float] = field(default_factory=dict)
    dialog: bool = False
    retries: int = 0
    refusals: int = 0
    _idle_at: float | None = None
    _media_due: float | None = None
    _retry_at: float | None = None
    _flowing_since: float | None = None
    _lost: Failure | None = None  # set from the loss of a stream that had flowed until it flows again
    _picture: bool = False
    _other_number: Params = field(default_factory=dict)
    _unreported: bool = False  # lost before the media node missed anything: it will not say "resumed"

    # -- what the camera and its signalling do

    def start(self, registered_at: datetime | None, now: Moment) -> list[Command]:
        """Begin: the device is known to be registered; ask it for the stream."""
        if registered_at is not None:
            self._note(Step.REGISTERED, now, {"registered_at": registered_at.isoformat(timespec="seconds")})
        self._idle_at = now.mono + self.limits.idle_stop_s
        return [Command.INVITE]

    def invited(self, address: str, ssrc: str, now: Moment) -> None:
        """The INVITE is on its way."""
        self._note(Step.INVITED, now, {"address": address, "ssrc": ssrc, "attempt": self.retries + 1})

    def asked(self, address: str, now: Moment) -> None:
        """An RTSP server is being asked: what stands where an INVITE stands."""
        self._note(Step.INVITED, now, {"address": address, "attempt": self.retries + 1})

    def provisional(self, status: int, now: Moment) -> None:
        """The device is working on it (1xx)."""
        if self.phase is Phase.INVITING and not self._has(Step.TRYING, since_last=Step.INVITED):
            self._note(Step.TRYING, now, {"status": status})

    def answered(self, params: Params, now: Moment) -> list[Command]:
        """A 2xx with a usable SDP came; a session that was closed meanwhile says BYE at once."""
        self.dialog = True
        if self.phase is not Phase.INVITING:
            return self._leave_dialog()
        self._note(Step.ANSWERED, now, params)
        if self._picture:  # trap 44: cameras send as soon as they have answered, and media overtakes SIP
            self._flow(now)
        else:
            self.phase = Phase.ANSWERED
            self._media_due = now.mono + self.limits.answer_media_s
        return []

    def refused(self, failure: Failure, retry_after_s: float | None, now: Moment) -> list[Command]:
        """The INVITE failed. A device that says when to ask again (Retry-After) is asked again then."""
        waits = (
            retry_after_s is not None and self.phase is Phase.INVITING and bool(self.viewers or self.places)
        )
        if not waits or self._lost is not None or self.refusals >= self.limits.refusals_max:
            return self.fail(failure, now)
        self.refusals += 1
        self.phase = Phase.WAITING
        self._retry_at = now.mono + max(1.0, retry_after_s or 0.0)
        self._note(
            Step.RETRYING,
            now,
            {"code": failure.code.value, **failure.params, "after_s": retry_after_s or 0.0},
        )
        return []

    def source_failed(self, failure: Failure, now: Moment) -> list[Command]:
        """The RTSP session with a source did not come about or has ended."""
        self.dialog = False
        return self._lose(failure, now)

    def restarted(self, now: Moment) -> list[Command]:
        """The device was switched off and on and has forgotten the call; what little it may still know of it
        is ended with BYE before it is asked anew (trap 46: some answer 486 until then)."""
        self._unreported = True
        return self._lose(Failure(FailureCode.MEDIA_LOST, {"why": "device_restarted"}), now)

    def unusable(self, why: str, now: Moment) -> list[Command]:
        """A 2xx came whose SDP cannot be used: the dialog stands and must be ended."""
        self.dialog = True
        if self.phase is not Phase.INVITING:
            return self._leave_dialog()
        return self.fail(Failure(FailureCode.SDP_UNUSABLE, {"why": why}), now)

    def device_ended(self, now: Moment) -> list[Command]:
        """The device said BYE: the dialog is gone."""
        self.dialog = False
        return self._lose(Failure(FailureCode.DEVICE_ENDED, {}), now)

    # -- what the media node reports

    def tcp_connected(self, peer: str, now: Moment) -> None:
        """The media connection stands."""
        if self.phase is not Phase.CLOSED:
            self._note(Step.TCP_CONNECTED, now, {"peer": peer})

    def tcp_failed(self, reason: str, now: Moment) -> list[Command]:
        """Dialling failed for good, or a standing media connection ended."""
        if reason.startswith("connect_"):
            return self._lose(Failure(FailureCode.TCP_CONNECT_FAILED, {"why": reason}), now)
        return self._lose(Failure(FailureCode.MEDIA_LOST, {"why": reason}), now)

    def first_packet(self, peer: str, ssrc: int, payload_type: int, now: Moment) -> None:
        """RTP arrives."""
        if self.phase is not Phase.CLOSED:
            self._note(
                Step.FIRST_PACKET, now, {"peer": peer, "ssrc": f"{ssrc:010d}", "payload_type": payload_type}
            )
            if self._unreported and self.phase is not Phase.WAITING:
                self.resumed(now)

    def first_key_frame(self, params: Params, now: Moment) -> None:
        """A picture can be decoded."""
        if self.phase not in (Phase.CLOSED, Phase.WAITING):
            self._note(Step.FIRST_KEY_FRAME, now, params)
            self.resumed(now)

    def resumed(self, now: Moment) -> None:
        """Pictures arrive, for the first time or again after a silence."""
        if self.phase is Phase.INVITING:
            self._picture = True
        elif self.phase is Phase.ANSWERED:
            self._flow(now)

    def _flow(self, now: Moment) -> None:
        self.phase = Phase.FLOWING
        self._media_due = None
        self._unreported = False
        self._flowing_since = now.mono
        self._lost = None

    def stalled(self, reason: str, now: Moment) -> list[Command]:
        """The media node has had nothing usable for its waiting time: ``no_packets``, ``no_video``, ...."""
        self._unreported = False
        if self.phase is Phase.FLOWING:
            return self._lose(Failure(FailureCode.MEDIA_LOST, {"why": reason}), now)
        if self.phase is not Phase.ANSWERED:
            return []
        if reason == "ssrc_mismatch":  # a device that is held to its number (trap 34)
            return self._lose(Failure(FailureCode.SSRC_REFUSED, dict(self._other_number)), now)
        return self._lose(never_seen(reason), now)

    def stream_ended(self, reason: str, now: Moment) -> list[Command]:
        """The stream is gone at the media node although nobody asked: nothing to come back to."""
        return self.fail(Failure(FailureCode.MEDIA_UNAVAILABLE, {"why": reason}), now)

    def other_number(self, expected: int, seen: int, now: Moment) -> None:
        """Packets carry another SSRC than was agreed on; whether they are taken is the policy's (trap 34)."""
        self._other_number = {"expected": f"{expected:010d}", "seen": f"{seen:010d}"}
        self.note({"code": "ssrc_mismatch", "expected": expected, "seen": seen}, now)

    def note(self, params: Params, now: Moment) -> None:
        """Something worth a line that changes nothing."""
        if self.phase is not Phase.CLOSED:
            self._note(Step.NOTE, now, params)

    # -- what viewers do

    def promise(self, access_id: str, now: Moment) -> None:
        """A viewer was given a URL and will come."""
        self.places[access_id] = now.mono + self.limits.place_s
        self._idle_at = None

    def joined(self, access_id: str, now: Moment) -> None:
        """A viewer is receiving."""
        self.places.pop(access_id, None)
        self.viewers[access_id] = Viewer(access_id, now.at)
        self._idle_at = None
        self._note(Step.VIEWER_JOINED, now, {"access_id": access_id})

    def first_picture(self, access_id: str, elapsed_ms: int, now: Moment) -> None:
        """A viewer saw its first picture, ``elapsed_ms`` after its click."""
        self._note(Step.FIRST_PICTURE, now, {"access_id": access_id, "click_to_picture_ms": elapsed_ms})

    def left(self, access_id: str, reason: str, now: Moment) -> None:
        """A viewer is gone, or will not come."""
        known = self.viewers.pop(access_id, None)
        self.places.pop(access_id, None)
        if known is not None:
            self._note(Step.VIEWER_LEFT, now, {"access_id": access_id, "reason": reason})
        self._begin_idle(now.mono)

    def _begin_idle(self, mono: float) -> None:
        if not self.viewers and not self.places and self._idle_at is None:
            self._idle_at = mono + self.limits.idle_stop_s

    # -- endings and second tries

    def fail(self, failure: Failure, now: Moment) -> list[Command]:
        """End the session for a reason; during a second try the first loss stays the reason."""
        if self.phase is Phase.CLOSED:
            return []
        if self._lost is not None:
            return self._retry_or_give_up(failure, now)
        return self._close(failure, now, Step.FAILED, {"code": failure.code.value, **failure.params})

    def stop(self, reason: EndReason, now: Moment) -> list[Command]:
        """End the session because nobody needs it any more; one that was waiting in vain has failed."""
        if self.phase is Phase.CLOSED:
            return []
        if self._lost is not None:
            failure = self._lost
            return self._close(failure, now, Step.FAILED, {"code": failure.code.value, **failure.params})
        return self._close(None, now, Step.ENDED, {"reason": reason.value})

    def _lose(self, failure: Failure, now: Moment) -> list[Command]:
        """The stream broke. One that had flowed is asked for again while somebody waits."""
        if self.phase in (Phase.CLOSED, Phase.WAITING):
            return []
        had_flowed = self._flowing_since is not None
        if self._lost is None and not had_flowed:
            return self.fail(failure, now)
        if self._lost is None:
            if now.mono - (self._flowing_since or 0.0) >= self.limits.steady_s:
                self.retries = 0
            self._lost = failure
        return self._retry_or_give_up(failure, now)

    def _retry_or_give_up(self, last: Failure, now: Moment) -> list[Command]:
        first = self._lost or last
        if self.retries >= len(self.limits.retry_delays_s) or not (self.viewers or self.places):
            failure = replace(first, params={**first.params, "attempts": self.retries})
            if last.code is not first.code:
                failure = replace(failure, params={**failure.params, "last": last.code.value})
            return self._close(failure, now, Step.FAILED, {"code": failure.code.value, **failure.params})
        abandon = [Command.ABANDON_INVITE] if self.phase is Phase.INVITING else []
        delay = self.limits.retry_delays_s[self.retries]
        self.retries += 1
        self.phase = Phase.WAITING
        self._media_due = None
        self._retry_at = now.mono + delay
        self._note(Step.RETRYING, now, {"code": last.code.value, **last.params, "after_s": delay})
        return abandon + self._leave_dialog()

    def _leave_dialog(self) -> list[Command]:
        if not self.dialog:
            return []
        self.dialog = False
        return [Command.BYE]

    def _close(self, failure: Failure | None, now: Moment, step: Step, params: Params) -> list[Command]:
        commands = [Command.ABANDON_INVITE] if self.phase is Phase.INVITING and not self.dialog else []
        self.phase = Phase.CLOSED
        self.failure = failure
        self.ended_at = now.at
        self.places.clear()
        self._note(step, now, params)
        return [*commands, *self._leave_dialog(), Command.CLOSE]

    # -- time

    def wake_at(self) -> float | None:
        """Monotonic time of the next thing that happens by itself, ``None`` when closed."""
        if self.phase is Phase.CLOSED:
            return None
        times = [self._idle_at, self._media_due, self._retry_at, *self.places.values()]
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: Moment) -> list[Command]:
        """Do what is due."""
        if self.phase is Phase.CLOSED:
            return []
        for access_id in [one for one, until in self.places.items() if until <= now.mono]:
            del self.places[access_id]
        self._begin_idle(now.mono)
        if self._idle_at is not None and self._idle_at <= now.mono:
            return self.stop(EndReason.IDLE, now)
        if self._media_due is not None and self._media_due <= now.mono:
            self._media_due = None
            return self._lose(Failure(FailureCode.NO_PACKETS, {}), now)
        if self._retry_at is not None and self._retry_at <= now.mono:
            self._retry_at = None
            self.phase = Phase.INVITING
            self._picture = False
            return [Command.INVITE]
        return []

    # -- seen from outside

    def snapshot(self) -> LiveSession:
        """The session as others may see it."""
        return LiveSession(
            id=self.id,
            stream_id=self.id,
            channel_id=self.channel_id,
            device_id=self.device_id,
            stream_number=self.stream_number,
            transport=self.transport,
            state=self._state(),
            started_at=self.started.at,
            ended_at=self.ended_at,
            timeline=tuple(self.timeline),
            failure=self.failure,
            viewers=tuple(self.viewers.values()),
        )

    def _state(self) -> SessionState:
        if self.phase is Phase.CLOSED:
            return SessionState.FAILED if self.failure is not None else SessionState.ENDED
        return SessionState.LIVE if self.phase is Phase.FLOWING else SessionState.STARTING

    def _note(self, step: Step, now: Moment, params: Params) -> None:
        elapsed_ms = max(0, round((now.at - self.started.at).total_seconds() * 1000))
        self.timeline.append(TimelineStep(step, now.at, elapsed_ms, params))
        if len(self.timeline) > _TIMELINE_LIMIT:
            # Viewers come and go all day; the hops of the stream itself are few and stay.
            oldest = next((i for i, one in enumerate(self.timeline) if one.step in _VIEWER_STEPS), 0)
            del self.timeline[oldest]

    def _has(self, step: Step, since_last: Step | None = None) -> bool:
        for one in reversed(self.timeline):
            if one.step is step:
                return True
            if one.step is since_last:
                return False
        return False


def never_seen(reason: str) -> Failure:
    """Why there never was a picture, from the word of the media node (`StreamStalled`)."""
    if reason == "no_packets":
        return Failure(FailureCode.NO_PACKETS, {})
    if reason == "no_key_frame":
        return Failure(FailureCode.NO_KEY_FRAME, {})
    return Failure(FailureCode.NO_VIDEO, {"why": reason})
