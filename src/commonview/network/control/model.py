"""The words of control: a command, how far it has come, and what a device turned out not to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Evidence: TypeAlias = "Mapping[str, str | int | float]"
"""What was seen, in a few short named values; fit to be stored and shown."""


class CommandState(StrEnum):
    """How far a command has come. A 200 is `accepted`, and nothing is ever called done for that alone."""

    SENT = "sent"
    ACCEPTED = "accepted"  # the device took the message: SIP 2xx
    ANSWERED = "answered"  # its business answer said OK
    OBSERVED = "observed"  # we saw the effect ourselves; the end
    NOT_OBSERVABLE = "not_observable"  # nothing in the standard can show the effect; the end
    FAILED = "failed"  # see `CommandFailure`; the end


class CommandFailure(StrEnum):
    """Why a command failed."""

    REFUSED_BY_DEVICE = "refused_by_device"  # a SIP refusal, or Result ERROR; evidence says which
    DEVICE_SILENT = "device_silent"  # no SIP answer: whether it heard us is unknown
    DEVICE_OFFLINE = "device_offline"
    DEVICE_BUSY = "device_busy"
    NOT_ANSWERED = "not_answered"  # taken, but the business answer never came and no effect was seen
    NOT_OBSERVED = "not_observed"  # taken, and what should have changed did not
    DEVICE_DOES_NOT_DO_IT = "device_does_not_do_it"  # as before, and not for the first time
    DEVICE_REPORTS_FAILURE = "device_reports_failure"  # its own report says so (upgrade)
    PICTURES_MISSING = "pictures_missing"  # a snapshot gave fewer pictures than were asked for
    INTERRUPTED = "interrupted"  # the server stopped meanwhile
    CANNOT_BE_WRITTEN = "cannot_be_written"  # the values do not fit into a message


class CommandRight(StrEnum):
    """What giving a command needs."""

    STEER = "steer"  # camera.control and a running grant that covers the channel
    MANAGE = "manage"  # device.manage


@dataclass(frozen=True, slots=True)
class CommandStep:
    """One step of a command, with its proof."""

    state: CommandState
    at: datetime
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Command:
    """One command to a device or a channel of it, and all that is known of what became of it.

    ``channel_id`` is ``None`` for a command to the device itself, ``parameters`` the order as it was given.
    """

    id: str
    device_id: str
    channel_id: str | None
    kind: str
    parameters: Mapping[str, object]
    account_id: str
    created_at: datetime
    steps: tuple[CommandStep, ...]
    failure: CommandFailure | None = None

    @property
    def state(self) -> CommandState:
        """The latest step."""
        return self.steps[-1].state

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in ENDS

    def reached(self, state: CommandState) -> bool:
        """Whether it has been in this state."""
        return any(step.state is state for step in self.steps)


ENDS = frozenset({CommandState.OBSERVED, CommandState.NOT_OBSERVABLE, CommandState.FAILED})


class CapabilityVerdict(StrEnum):
    """What experience says of a kind of command at one device or channel."""

    DONE = "done"  # its effect was seen
    DOUBTFUL = "doubtful"  # taken once, effect not seen
    NOT_DONE_BY_DEVICE = "not_done_by_device"  # taken at least twice and never seen, or refused twice


@dataclass(frozen=True, slots=True)
class Capability:
    """What a device or channel turned out to do or not to do, and by which command that was found.

    It warns; it blocks nothing.
    """

    device_id: str
    channel_id: str | None
    kind: str
    verdict: CapabilityVerdict
    failures: int
    command_id: str
    at: datetime
    evidence: Evidence
