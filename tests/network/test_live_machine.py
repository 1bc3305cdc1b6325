from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.media import MediaTransport
from commonview.network.live_machine import Command, LiveLimits, LiveMachine, Moment, Phase
from commonview.network.model import EndReason, Failure, FailureCode, SessionState, Step

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = LiveLimits(idle_stop_s=15, place_s=60, answer_media_s=15, retry_delays_s=(1.0, 2.0), steady_s=30)
REFUSED = Failure(FailureCode.INVITE_REFUSED, {"status": 486, "reason": "Busy Here"})


def at(seconds: float) -> Moment:
    return Moment(1000.0 + seconds, START + timedelta(seconds=seconds))


def new_machine() -> LiveMachine:
    machine = LiveMachine("s", "d-c", "d", MediaTransport.UDP, LIMITS, at(0))
    assert machine.start(START, at(0)) == [Command.INVITE]
    machine.invited("192.0.2.5:5060", "0200000001", at(0))
    return machine


def flowing_machine(viewer: bool = True) -> LiveMachine:
    machine = new_machine()
    if viewer:
        machine.promise("v", at(0))
        machine.joined("v", at(0.1))
    assert machine.answered({}, at(0.2)) == []
    machine.first_packet("192.0.2.5:9000", 200000001, 96, at(0.3))
    machine.first_key_frame({"codec": "h264"}, at(0.4))
    assert machine.snapshot().state is SessionState.LIVE
    return machine


def steps(machine: LiveMachine) -> list[Step]:
    return [one.step for one in machine.timeline]


def test_healthy_session_passes_every_hop_in_order_with_times() -> None:
    machine = new_machine()
    machine.provisional(100, at(0.05))
    machine.provisional(180, at(0.06))
    machine.answered({}, at(0.2))
    machine.first_packet("192.0.2.5:9000", 1, 96, at(0.3))
    machine.first_key_frame({"codec": "h264"}, at(0.4))
    assert steps(machine) == [
        Step.REGISTERED,
        Step.INVITED,
        Step.TRYING,
        Step.ANSWERED,
        Step.FIRST_PACKET,
        Step.FIRST_KEY_FRAME,
    ]
    assert [one.elapsed_ms for one in machine.timeline][-2:] == [300, 400]


def test_session_that_nobody_watches_stops_after_the_idle_time_with_a_bye() -> None:
    machine = flowing_machine()
    machine.left("v", "viewer_closed", at(50))
    assert machine.wake_at() == at(65).mono
    assert machine.tick(at(64.9)) == []
    assert machine.tick(at(65)) == [Command.BYE, Command.CLOSE]
    assert machine.snapshot().state is SessionState.ENDED
    assert machine.wake_at() is None


def test_viewer_who_returns_in_the_idle_time_keeps_the_session() -> None:
    machine = flowing_machine()
    machine.left("v", "viewer_closed", at(50))
    machine.promise("w", at(60))
    assert machine.tick(at(66)) == []
    machine.joined("w", at(70))
    assert machine.wake_at() is None


def test_viewer_who_was_promised_a_place_and_never_comes_frees_it_after_a_minute() -> None:
    machine = flowing_machine(viewer=False)
    machine.promise("v", at(1))
    assert machine.tick(at(60.9)) == []
    assert machine.tick(at(61)) == []
    assert machine.tick(at(76)) == [Command.BYE, Command.CLOSE]


def test_one_of_two_viewers_leaving_does_not_stop_the_session() -> None:
    machine = flowing_machine()
    machine.joined("w", at(2))
    machine.left("v", "viewer_closed", at(3))
    assert machine.wake_at() is None


def test_refusal_of_the_invite_is_shown_with_its_status_and_needs_no_bye() -> None:
    machine = new_machine()
    machine.promise("v", at(0))
    assert machine.fail(REFUSED, at(0.5)) == [Command.ABANDON_INVITE, Command.CLOSE]
    session = machine.snapshot()
    assert (session.state, session.failure) == (SessionState.FAILED, REFUSED)


def test_answer_without_usable_media_is_ended_with_a_bye() -> None:
    machine = new_machine()
    assert machine.unusable("media_refused", at(0.5)) == [Command.BYE, Command.CLOSE]
    assert machine.failure == Failure(FailureCode.SDP_UNUSABLE, {"why": "media_refused"})


@pytest.mark.parametrize("late", ["answered", "unusable"])
def test_answer_that_comes_after_the_end_is_ended_with_a_bye(late: str) -> None:
    machine = new_machine()
    machine.stop(EndReason.STOPPED, at(0.1))
    commands = machine.answered({}, at(0.2)) if late == "answered" else machine.unusable("x", at(0.2))
    assert commands == [Command.BYE]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("no_packets", FailureCode.NO_PACKETS),
        ("no_video", FailureCode.NO_VIDEO),
        ("no_key_frame", FailureCode.NO_KEY_FRAME),
        ("unknown_payload", FailureCode.NO_VIDEO),
    ],
)
def test_answered_camera_without_a_picture_fails_with_what_is_missing(reason: str, code: FailureCode) -> None:
    machine = new_machine()
    machine.answered({}, at(0.2))
    assert machine.stalled(reason, at(10)) == [Command.BYE, Command.CLOSE]
    assert machine.failure is not None
    assert machine.failure.code is code
    assert machine.failure.params.get("why", reason) == reason


def test_silence_of_the_media_node_itself_ends_the_waiting_too() -> None:
    machine = new_machine()
    machine.promise("v", at(0))
    machine.answered({}, at(0.2))
    assert machine.tick(at(15.2)) == [Command.BYE, Command.CLOSE]


def test_dialling_that_failed_is_told_apart_from_a_connection_that_ended() -> None:
    machine = new_machine()
    machine.answered({}, at(0.2))
    machine.tcp_failed("connect_refused", at(3))
    assert machine.failure == Failure(FailureCode.TCP_CONNECT_FAILED, {"why": "connect_refused"})
    lost = flowing_machine(viewer=False)
    lost.tcp_failed("closed", at(3))
    assert lost.failure is not None
    assert lost.failure.code is FailureCode.MEDIA_LOST


def test_media_before_the_answer_counts_once_the_answer_is_there() -> None:
    machine = new_machine()
    machine.first_packet("192.0.2.5:9000", 1, 96, at(0.1))
    machine.first_key_frame({"codec": "h264"}, at(0.2))
    assert machine.snapshot().state is SessionState.STARTING
    machine.answered({}, at(0.3))
    assert machine.snapshot().state is SessionState.LIVE


def test_lost_camera_is_asked_again_while_somebody_waits() -> None:
    machine = flowing_machine()
    assert machine.stalled("no_packets", at(20)) == [Command.BYE]
    assert machine.snapshot().state is SessionState.STARTING
    assert machine.tick(at(20.9)) == []
    assert machine.tick(at(21)) == [Command.INVITE]
    machine.answered({}, at(21.2))
    machine.resumed(at(21.4))
    assert machine.snapshot().state is SessionState.LIVE
    assert machine.failure is None


def test_camera_that_stays_lost_fails_with_the_first_loss_after_bounded_tries() -> None:
    machine = flowing_machine()
    machine.stalled("no_packets", at(20))
    for delay in (1.0, 2.0):
        now = (machine.wake_at() or 0.0) - 1000.0
        assert machine.tick(at(now)) == [Command.INVITE]
        commands = machine.fail(Failure(FailureCode.INVITE_TIMEOUT, {"seconds": 10}), at(now + 10))
        assert delay > 0
    assert commands == [Command.ABANDON_INVITE, Command.CLOSE]
    assert machine.failure == Failure(
        FailureCode.MEDIA_LOST, {"why": "no_packets", "attempts": 2, "last": "invite_timeout"}
    )


def test_lost_camera_that_nobody_waits_for_fails_at_once() -> None:
    machine = flowing_machine(viewer=False)
    assert machine.stalled("no_packets", at(10)) == [Command.BYE, Command.CLOSE]
    assert machine.failure is not None
    assert machine.failure.code is FailureCode.MEDIA_LOST


def test_waiting_in_vain_ends_as_a_failure_when_the_last_viewer_goes() -> None:
    machine = flowing_machine()
    machine.stalled("no_packets", at(20))
    machine.left("v", "viewer_closed", at(20.1))
    machine.tick(at(21))
    assert machine.tick(at(36)) == [Command.ABANDON_INVITE, Command.CLOSE]
    assert machine.snapshot().state is SessionState.FAILED


def test_bye_of_the_camera_is_not_answered_with_another() -> None:
    machine = flowing_machine()
    assert machine.device_ended(at(5)) == []
    machine.tick(at(6))
    machine.answered({}, at(6.1))
    assert machine.stop(EndReason.SHUTDOWN, at(7)) == [Command.BYE, Command.CLOSE]


def test_steady_stream_earns_its_tries_back_and_a_flapping_one_does_not() -> None:
    machine = flowing_machine()
    machine.stalled("no_packets", at(100))
    machine.tick(at(101))
    machine.answered({}, at(101.1))
    machine.resumed(at(101.2))
    machine.stalled("no_packets", at(110))
    assert machine.retries == 2
    machine.tick(at(112))
    machine.answered({}, at(112.1))
    machine.resumed(at(112.2))
    machine.stalled("no_packets", at(200))
    assert machine.retries == 1


def test_timeline_keeps_the_hops_when_many_viewers_come_and_go() -> None:
    machine = flowing_machine()
    for number in range(500):
        machine.joined(f"v{number}", at(1 + number))
        machine.left(f"v{number}", "viewer_closed", at(1.5 + number))
    assert len(machine.timeline) <= 200
    assert {Step.INVITED, Step.ANSWERED, Step.FIRST_KEY_FRAME} <= set(steps(machine))


HAPPENINGS: dict[str, Callable[[LiveMachine, Moment], list[Command] | None]] = {
    "answered": lambda machine, now: machine.answered({}, now),
    "unusable": lambda machine, now: machine.unusable("malformed", now),
    "refused": lambda machine, now: machine.fail(REFUSED, now),
    "bye": lambda machine, now: machine.device_ended(now),
    "packet": lambda machine, now: machine.first_packet("192.0.2.5:9000", 1, 96, now),
    "key": lambda machine, now: machine.first_key_frame({}, now),
    "stalled": lambda machine, now: machine.stalled("no_packets", now),
    "resumed": lambda machine, now: machine.resumed(now),
    "tcp": lambda machine, now: machine.tcp_connected("192.0.2.5:9000", now),
    "closed": lambda machine, now: machine.tcp_failed("closed", now),
    "promise": lambda machine, now: machine.promise("v", now),
    "join": lambda machine, now: machine.joined("v", now),
    "leave": lambda machine, now: machine.left("v", "viewer_closed", now),
    "stop": lambda machine, now: machine.stop(EndReason.STOPPED, now),
    "tick": lambda machine, now: machine.tick(now),
}
EVENTS = st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.floats(0, 40)), max_size=40)


@given(EVENTS)
def test_whatever_happens_every_dialog_gets_one_bye_and_the_stream_one_close(
    events: list[tuple[str, float]],
) -> None:
    """The invariants of a session, held by any order of events."""
    machine = new_machine()
    dialog, inviting, closes, seconds = False, True, 0, 0.0
    for name, pause in events:
        seconds += pause
        now = at(seconds)
        if name in ("answered", "unusable") and not inviting:
            continue  # an answer needs an INVITE that is under way
        if name == "bye" and not dialog:
            continue
        if name in ("answered", "unusable"):
            dialog, inviting = True, False
        if name == "bye":
            dialog = False
        if name == "refused" and not inviting:
            continue
        inviting = inviting and name != "refused"
        for command in HAPPENINGS[name](machine, now) or []:
            assert not (command is Command.BYE and not dialog)
            dialog = dialog and command is not Command.BYE
            inviting = command is Command.INVITE or (inviting and command is not Command.ABANDON_INVITE)
            closes += command is Command.CLOSE
        assert closes == (1 if machine.phase is Phase.CLOSED else 0)
        if machine.phase in (Phase.CLOSED, Phase.WAITING):
            assert not dialog
        assert machine.retries <= len(LIMITS.retry_delays_s)


@pytest.mark.trap(46)
def test_device_that_was_restarted_is_asked_anew_after_a_bye_and_leaves_no_ghost() -> None:
    machine = flowing_machine()
    assert machine.restarted(at(20)) == [Command.BYE]
    assert machine.tick(at(21)) == [Command.INVITE]
    assert machine.snapshot().state is SessionState.STARTING
    machine.answered({}, at(21.1))
    # The media node missed nothing, so it will not say that pictures are back; the new source does.
    machine.first_packet("192.0.2.5:9000", 2, 96, at(21.2))
    assert machine.snapshot().state is SessionState.LIVE


@pytest.mark.trap(46)
def test_restarted_device_that_nobody_watches_any_more_is_not_asked_again() -> None:
    machine = flowing_machine(viewer=False)
    assert machine.restarted(at(20)) == [Command.BYE, Command.CLOSE]


def test_device_that_says_when_to_ask_again_is_asked_then_and_not_for_ever() -> None:
    machine = new_machine()
    machine.promise("v", at(0))
    now = 0.5
    for _ in range(LIMITS.refusals_max):
        assert machine.refused(REFUSED, 5.0, at(now)) == []
        assert machine.tick(at(now + 4.9)) == []
        assert machine.tick(at(now + 5)) == [Command.INVITE]
        now += 5.5
    assert machine.refused(REFUSED, 5.0, at(now)) == [Command.ABANDON_INVITE, Command.CLOSE]
    assert machine.snapshot().failure == REFUSED


def test_refusal_without_a_time_to_ask_again_is_final() -> None:
    machine = new_machine()
    machine.promise("v", at(0))
    assert machine.refused(REFUSED, None, at(0.5)) == [Command.ABANDON_INVITE, Command.CLOSE]
