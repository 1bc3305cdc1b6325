"""The verdicts of one run, check by check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from commonview.conformance.journal import Journal
from commonview.conformance.model import Check, Finding, Text, Verdict
from commonview.wire.version import GbVersion

_MOST_MESSAGES: Final = 12
_WEIGHT: Final = {Verdict.SKIPPED: 0, Verdict.OBSERVED: 1, Verdict.PASSED: 2, Verdict.FAILED: 3}


class Book:
    """Takes verdicts. A check may be judged often: what weighs most stays, a failure for good."""

    def __init__(self, checks: Iterable[Check], version: GbVersion, journal: Journal) -> None:
        self.version = version
        self.checks = {each.id: each for each in checks if each.clause(version)}
        self._journal = journal
        self._findings: dict[str, Finding] = {}
        self._mark = 0

    def begin(self) -> None:
        """A procedure begins: what passes from now on is its evidence."""
        self._mark = self._journal.mark()

    def judged(self, check_id: str) -> bool:
        """Whether a verdict is there."""
        return check_id in self._findings

    def verdict(self, check_id: str) -> Verdict | None:
        """The verdict so far."""
        found = self._findings.get(check_id)
        return None if found is None else found.verdict

    def judge(self, check_id: str, ok: bool, en: str, zh: str, *, messages: Iterable[int] = ()) -> bool:
        """Passed or failed; returns `ok`. What the edition does not have is not written down."""
        self._write(check_id, Verdict.PASSED if ok else Verdict.FAILED, Text(en, zh), messages)
        return ok

    def observe(self, check_id: str, en: str, zh: str) -> None:
        """A fact that is neither right nor wrong."""
        self._write(check_id, Verdict.OBSERVED, Text(en, zh), ())

    def skip(self, check_id: str, en: str, zh: str) -> None:
        """Not looked at, and why; says nothing where a verdict is there already."""
        self._write(check_id, Verdict.SKIPPED, Text(en, zh), ())

    def _write(self, check_id: str, verdict: Verdict, saw: Text, messages: Iterable[int]) -> None:
        check = self.checks.get(check_id)
        if check is None:
            return
        known = self._findings.get(check_id)
        if known is not None and _WEIGHT[known.verdict] >= _WEIGHT[verdict]:
            return
        shown = tuple(messages) or self._journal.since(self._mark)
        self._findings[check_id] = Finding(
            check=check,
            verdict=verdict,
            saw=saw,
            at_s=round(self._journal.now(), 3),
            messages=() if verdict is Verdict.SKIPPED else shown[-_MOST_MESSAGES:],
        )

    def findings(self) -> tuple[Finding, ...]:
        """Every check of the edition in the order of the table; what was not reached is skipped."""
        missing = Text("not reached", "未进行到")
        return tuple(
            self._findings.get(each.id)
            or Finding(check=each, verdict=Verdict.SKIPPED, saw=missing, at_s=self._journal.now())
            for each in self.checks.values()
        )
