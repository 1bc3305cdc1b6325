"""The words of the room: checks, what was found, and the report of one run."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from commonview.wire.version import GbVersion

REPORT_VERSION: Final = 1
"""Raised when a field of the JSON report changes its meaning or goes."""


class Text(NamedTuple):
    """One sentence in both languages of the report."""

    en: str
    zh: str


class Level(StrEnum):
    """How strongly the standard asks for it."""

    SHALL = "shall"
    SHOULD = "should"


class Verdict(StrEnum):
    """What came of a check. OBSERVED tells a fact that is neither right nor wrong."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    OBSERVED = "observed"


class Role(StrEnum):
    """What stands at the other end."""

    DEVICE = "device"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold. An empty clause means that the edition does not have it.

    `level_2016` replaces `level` where the earlier edition asks less.
    """

    id: str
    level: Level
    clause_2022: str
    clause_2016: str
    title: Text
    level_2016: Level | None = None

    @property
    def group(self) -> str:
        """The part of the id before the first dot: what the check is about."""
        return self.id.partition(".")[0]

    def clause(self, version: GbVersion) -> str:
        """Where the edition asks for it, empty when it does not."""
        return self.clause_2022 if version >= GbVersion.V2022 else self.clause_2016

    def level_in(self, version: GbVersion) -> Level:
        """How strongly the edition asks for it."""
        if version < GbVersion.V2022 and self.level_2016 is not None:
            return self.level_2016
        return self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on one check. `saw` is what it rests on; `messages` number the exchange that shows it.

    `at_s` is seconds since the run began.
    """

    check: Check
    verdict: Verdict
    saw: Text
    at_s: float
    messages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """One SIP message as it passed, without its secrets. `received` False: we sent it."""

    number: int
    at_s: float
    received: bool
    transport: str
    peer: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What is known of the other end; empty where it did not tell."""

    id: str = ""
    address: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    user_agent: str = ""
    declared_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run. `interrupted` tells that somebody stopped it; what had not run by then is skipped."""

    role: Role
    version: GbVersion
    transport: str
    peer: Peer
    program: str
    started_at: datetime
    ended_at: datetime
    interrupted: bool
    findings: tuple[Finding, ...]
    messages: tuple[Note, ...]
    messages_left_out: int = 0

    @property
    def edition(self) -> str:
        """ "2016" or "2022"."""
        return edition_name(self.version)

    def of(self, verdict: Verdict, level: Level | None = None) -> list[Finding]:
        """The findings with that verdict, and that level when one is given."""
        return [
            each
            for each in self.findings
            if each.verdict is verdict and level in (None, each.check.level_in(self.version))
        ]

    @property
    def conforms(self) -> bool:
        """Whether nothing failed that the edition says shall be."""
        return not self.of(Verdict.FAILED, Level.SHALL)


def edition_name(version: GbVersion) -> str:
    """The year of an edition."""
    return "2022" if version >= GbVersion.V2022 else "2016"
