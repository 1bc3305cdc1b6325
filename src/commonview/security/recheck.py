"""Open looks, asked again: may whoever opened them still look?

Whatever takes a right away ends the looks under it at once. This finds what did so without a word to this
process: another program at the database, a listener that failed.
"""

import logging
from typing import Final

from sqlalchemy import Connection, select

from commonview.security.access import Access
from commonview.security.base import subject_of
from commonview.security.model import (
    AccessOutcome,
    Grant,
    GrantOrigin,
    GrantState,
    Reason,
    Resource,
)
from commonview.security.rules import decide
from commonview.security.store import (
    access_of,
    access_records,
    account_of,
    accounts,
    grants,
    load_grants,
    with_purposes,
)

log = logging.getLogger(__name__)

RECHECK_S: Final = 30.0
"""Seconds between two questions."""

_OVER: Final = (GrantState.ENDED, GrantState.REVOKED)


class Rechecks(Access):
    """Verbs about looks that stand."""

    def recheck(self) -> list[str]:
        """Cut what may not go on, and revoke the grants it stood under; returns the ids of these grants.

        The viewers are cut even when the revocation cannot be written: a picture must not go on because the
        disk is full.
        """
        with self._db.read() as conn:
            refused = self._refused(conn)
        if not refused:
            return []
        log.warning("%d grants under which somebody looks are good no longer; their looks end", len(refused))
        try:
            with self._write() as conn:
                for grant, reason in refused.values():
                    if grant.state_at(self._clock.now()) not in _OVER:
                        self._revoke_where(conn, None, grants.c.id == grant.id, f"re-check: {reason.value}")
        finally:
            for grant, _ in refused.values():
                is_over = grant.state_at(self._clock.now()) is GrantState.ENDED
                outcome = AccessOutcome.GRANT_ENDED if is_over else AccessOutcome.GRANT_REVOKED
                self._announce_ended([grant.id], outcome)
        return list(refused)

    def _refused(self, conn: Connection) -> dict[str, tuple[Grant, Reason]]:
        """The grants of open looks that would not be opened now, and why."""
        open_looks = select(access_records).where(access_records.c.ended_at.is_(None))
        looks = [access_of(row) for row in conn.execute(open_looks)]
        wanted = {look.grant_id for look in looks}
        # A sharing is the house's: it outlives whoever signed it, and ends by its own rules.
        mine = (grants.c.id.in_(wanted)) & (grants.c.origin != GrantOrigin.SHARING.value)
        held = {
            one.grant.id: one for one in with_purposes(conn, load_grants(conn, select(grants).where(mine)))
        }
        ids = {one.grant.account_id for one in held.values()}
        rows = conn.execute(select(accounts).where(accounts.c.id.in_(ids)))
        people = {row.id: subject_of(account_of(row), None, "") for row in rows}
        now = self._clock.now()
        refused: dict[str, tuple[Grant, Reason]] = {}
        for look in looks:
            one = held.get(look.grant_id)
            if one is None:
                continue
            asker = people[one.grant.account_id]
            decision = decide(asker, look.action, Resource(look.channel_id), now, [one])
            if not decision.allow:
                refused[one.grant.id] = (one.grant, decision.reason)
        return refused
