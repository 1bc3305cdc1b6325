"""The life of a command as a table; pure.

    SENT -> ACCEPTED -> ANSWERED -> OBSERVED
                 |           |----> NOT_OBSERVABLE
                 |----------------> both, where the standard has no business answer, or the device sends none
    every state but an end -> FAILED

A business answer may overtake the 200, or the 200 be lost: then ACCEPTED is skipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from commonview.network.control.model import (
    Capability,
    CapabilityVerdict,
    CommandFailure,
    CommandState,
    CommandStep,
)

if TYPE_CHECKING:
    from datetime import datetime

    from commonview.network.control.model import Command, Evidence

_S = CommandState

NEXT: Final = {
    _S.SENT: frozenset({_S.ACCEPTED, _S.ANSWERED, _S.FAILED}),
    _S.ACCEPTED: frozenset({_S.ANSWERED, _S.OBSERVED, _S.NOT_OBSERVABLE, _S.FAILED}),
    _S.ANSWERED: frozenset({_S.OBSERVED, _S.NOT_OBSERVABLE, _S.FAILED}),
    _S.OBSERVED: frozenset[CommandState](),
    _S.NOT_OBSERVABLE: frozenset[CommandState](),
    _S.FAILED: frozenset[CommandState](),
}

NOT_DONE_AFTER: Final = 2
"""So many failures without one success make a device one that does not do it."""

_TELLING: Final = frozenset(
    {
        CommandFailure.REFUSED_BY_DEVICE,
        CommandFailure.NOT_OBSERVED,
        CommandFailure.DEVICE_DOES_NOT_DO_IT,
        CommandFailure.NOT_ANSWERED,
    }
)
"""Failures that say something about the device, and not about the moment."""


class IllegalStep(Exception):
    """A command cannot go from where it is to there; a fault of ours."""


def advance(
    command: Command,
    state: CommandState,
    at: datetime,
    evidence: Evidence | None = None,
    failure: CommandFailure | None = None,
) -> Command:
    """The command one step further. Raises `IllegalStep`."""
    if state not in NEXT[command.state] or (failure is None) is (state is _S.FAILED):
        raise IllegalStep(f"{command.kind}: {command.state.value} -> {state.value} ({failure})")
    step = CommandStep(state, at, dict(evidence or {}))
    return replace(command, steps=(*command.steps, step), failure=failure)


def learned(known: Capability | None, command: Command) -> Capability | None:
    """What a finished command teaches about its device; ``None`` when nothing."""
    last = command.steps[-1]
    if command.state is _S.OBSERVED:
        verdict, failures = CapabilityVerdict.DONE, 0
    elif command.failure in _TELLING:
        failures = (known.failures if known is not None else 0) + 1
        verdict = (
            CapabilityVerdict.NOT_DONE_BY_DEVICE if failures >= NOT_DONE_AFTER else CapabilityVerdict.DOUBTFUL
        )
    else:
        return None
    evidence = {"failure": command.failure.value, **last.evidence} if command.failure else last.evidence
    return Capability(
        command.device_id,
        command.channel_id,
        command.kind,
        verdict,
        failures,
        command.id,
        last.at,
        evidence,
    )
