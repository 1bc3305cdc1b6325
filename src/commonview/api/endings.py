"""Grants and sign-ins that end in the very moment in which something is opened under them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commonview.security import AccessOutcome


class Endings:
    """Opening takes a thread; an end that comes meanwhile finds nothing to end yet, and is kept here."""

    def __init__(self) -> None:
        self._opening = 0
        self._ended: dict[str, AccessOutcome] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While something is being opened."""
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1
            if not self._opening:
                self._ended.clear()

    def note(self, ended_id: str, outcome: AccessOutcome) -> None:
        """A grant or a sign-in is over."""
        if self._opening:
            self._ended[ended_id] = outcome

    def of(self, *ids: str | None) -> AccessOutcome | None:
        """How one of these ended since, if it did."""
        return next((self._ended[one] for one in ids if one is not None and one in self._ended), None)
