"""The first start: one link, used once, makes the first accounts. There is no default account."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, select

from commonview.foundation.datadir import write_private
from commonview.foundation.errors import StorageUnavailable
from commonview.security.errors import Conflict, Invalid, SetupRefused
from commonview.security.model import Account, NewAccount, Role, Subject
from commonview.security.purposes import Purposes
from commonview.security.store import accounts, read_state, write_state

_TOKEN_STATE: Final = "setup_token_sha256"  # noqa: S105 - the name of a row

FIRST_ROLES: Final = {
    "administrator": frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN}),
    "operator": frozenset({Role.OPERATOR}),
    "supervisor": frozenset({Role.SUPERVISOR}),
}
"""The first administrator sees no video: the roles that use are for others."""


class SetUp(Purposes):
    """Verbs of the first start."""

    def setup_needed(self) -> bool:
        """True while no account exists."""
        with self._db.read() as conn:
            return not _any_account(conn)

    def setup_link(self, base_url: str) -> str | None:
        """A fresh one-time link, also written to data/setup-link (0600); None once set up.

        Each call replaces the earlier link. The token stands behind `#`, so that no server or proxy on the
        way sees it; only its hash is kept in the database.

        Raises:
            StorageUnavailable.
        """
        if not self.setup_needed():
            self._data.setup_link.unlink(missing_ok=True)
            return None
        token = secrets.token_urlsafe(32)
        with self._write() as conn:
            write_state(conn, _TOKEN_STATE, _hash(token))
        link = f"{base_url.rstrip('/')}/#/setup?token={token}"
        try:
            write_private(self._data.setup_link, f"{link}\n".encode())
        except OSError as error:
            raise StorageUnavailable(
                f"{self._data.setup_link} cannot be written ({error.strerror})"
            ) from error
        return link

    def set_up(
        self,
        token: str,
        administrator: NewAccount,
        *,
        operator: NewAccount | None = None,
        supervisor: NewAccount | None = None,
        client_address: str = "",
    ) -> Sequence[Account]:
        """Make the first accounts and the seed purposes, all or nothing; `roles` of the new ones are ignored.

        Raises:
            SetupRefused: the link is wrong, used, or replaced by that of a later start.
            Conflict: `already_set_up`, `username_taken`.
            Invalid: a name or password is not acceptable; `passwords_equal`.
            StorageUnavailable.
        """
        with self._db.read() as conn:
            _require_token(conn, token)
        wanted = {"administrator": administrator, "operator": operator, "supervisor": supervisor}
        new = [replace(one, roles=FIRST_ROLES[which]) for which, one in wanted.items() if one is not None]
        if len({one.password for one in new}) < len(new):
            raise Invalid("every account needs a password of its own", code="passwords_equal")
        values = [self._values_of(one) for one in new]
        with self._write() as conn:
            _require_token(conn, token)
            first = values[0]
            actor = Subject(
                first["id"],
                first["username"],
                first["display_name"],
                new[0].roles,
                client_address=client_address,
            )
            made = [self._insert_account(conn, actor, one) for one in values]
            self._seed_purposes(conn, actor)
            write_state(conn, _TOKEN_STATE, None)
            self.audit.append(conn, actor, "system.set_up", "system:instance", "ok", {"accounts": len(made)})
        self._data.setup_link.unlink(missing_ok=True)
        self._bus.publish("account.changed", {})
        return made


def _any_account(conn: Connection) -> bool:
    return conn.execute(select(accounts.c.id).limit(1)).first() is not None


def _require_token(conn: Connection, token: str) -> None:
    if _any_account(conn):
        raise Conflict("this installation is set up already", code="already_set_up")
    kept = read_state(conn, _TOKEN_STATE)
    if kept is None or not hmac.compare_digest(kept, _hash(token)):
        raise SetupRefused("the set-up link is wrong or was replaced: use the newest one, in data/setup-link")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
