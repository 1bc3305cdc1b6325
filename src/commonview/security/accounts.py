"""Accounts: who there is, made and changed by security administrators only."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from commonview.foundation.ids import new_id
from commonview.security.base import Room, not_found, roles_text
from commonview.security.errors import Conflict, Invalid
from commonview.security.model import (
    AccessOutcome,
    Account,
    Action,
    GrantOrigin,
    GrantState,
    NewAccount,
    Role,
    Subject,
)
from commonview.security.passwords import require_acceptable
from commonview.security.roles import actions_of, require_compatible
from commonview.security.store import (
    account_of,
    accounts,
    display_names,
    grants,
    load_grants,
    sessions,
)

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")
_DISPLAY_NAME_MAX: Final = 64


def normal_username(text: str) -> str:
    """A user name as it is kept and compared: lower case, 2 to 32 of a-z 0-9 . _ -

    Raises:
        Invalid: `username_invalid`.
    """
    name = text.strip().lower()
    if not _USERNAME.fullmatch(name):
        raise Invalid(
            "a user name has 2 to 32 characters: letters a-z, digits, point, hyphen, underscore",
            code="username_invalid",
        )
    return name


def normal_display_name(text: str) -> str:
    """A display name without control characters, at most 64 characters.

    Raises:
        Invalid: `display_name_invalid`.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= _DISPLAY_NAME_MAX or any(unicodedata.category(c)[0] == "C" for c in name):
        raise Invalid(
            f"a display name has 1 to {_DISPLAY_NAME_MAX} printable characters", code="display_name_invalid"
        )
    return name


class Accounts(Room):
    """Verbs about accounts."""

    def accounts(self, subject: Subject) -> Sequence[Account]:
        """Every account, by user name. Needs account.read."""
        self.require(subject, Action.ACCOUNT_READ)
        with self._db.read() as conn:
            return [account_of(row) for row in conn.execute(select(accounts).order_by(accounts.c.username))]

    def account(self, subject: Subject, account_id: str) -> Account:
        """One's own, or anybody's with account.read. Raises: Forbidden, NotFound."""
        if account_id != subject.account_id:
            self.require(subject, Action.ACCOUNT_READ)
        with self._db.read() as conn:
            return _load(conn, account_id)

    def account_names(self, account_ids: Collection[str]) -> dict[str, str]:
        """Display names by account id, for lists of grants, records and viewers."""
        with self._db.read() as conn:
            return display_names(conn, account_ids)

    def create_account(self, subject: Subject, new: NewAccount) -> Account:
        """Needs account.manage.

        Raises:
            Forbidden, Invalid, ConflictingRoles, StorageUnavailable.
            Conflict: `username_taken`.
        """
        self.require(subject, Action.ACCOUNT_MANAGE)
        values = self._values_of(new)
        with self._write() as conn:
            actor = self._fresh(conn, subject)
            self.require(actor, Action.ACCOUNT_MANAGE)
            account = self._insert_account(conn, actor, values)
        self._bus.publish("account.changed", {"account_id": account.id})
        return account

    def _values_of(self, new: NewAccount) -> dict[str, Any]:
        """A new account as a row, checked; costs one password hash."""
        require_compatible(new.roles)
        username, display_name = normal_username(new.username), normal_display_name(new.display_name)
        require_acceptable(new.password, username, display_name)
        return {
            "id": new_id(),
            "username": username,
            "display_name": display_name,
            "password_hash": self._passwords.hash(new.password),
            "roles": roles_text(new.roles),
            "disabled": False,
            "created_at": self._clock.now(),
        }

    def _insert_account(self, conn: Connection, actor: Subject | None, values: dict[str, Any]) -> Account:
        taken = conn.execute(select(accounts.c.id).where(accounts.c.username == values["username"])).first()
        if taken is not None:
            raise Conflict(
                f"the user name {values['username']!r} is taken",
                code="username_taken",
                username=values["username"],
            )
        conn.execute(insert(accounts).values(**values))
        detail = {"username": values["username"], "roles": values["roles"]}
        self.audit.append(conn, actor, "account.created", f"account:{values['id']}", "ok", detail)
        return _load(conn, values["id"])

    def update_account(
        self,
        subject: Subject,
        account_id: str,
        *,
        display_name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        remove_totp: bool = False,
    ) -> Account:
        """Needs account.manage. Nobody changes their own roles, nor disables themselves.

        Disabling ends the account's sessions and grants; a role taken away ends the grants that needed it; a
        new password ends its sessions, and what they were watching.

        Raises:
            Forbidden, NotFound, Invalid, ConflictingRoles, StorageUnavailable.
            Conflict: `own_account`, `last_security_admin`.
        """
        self.require(subject, Action.ACCOUNT_MANAGE)
        if account_id == subject.account_id and (roles is not None or disabled):
            raise Conflict(
                "nobody changes their own roles or disables themselves: ask another security administrator",
                code="own_account",
            )
        before = self.account(subject, account_id)
        values: dict[str, Any] = {}
        if display_name is not None:
            values["display_name"] = normal_display_name(display_name)
        if roles is not None:
            require_compatible(roles)
            values["roles"] = roles_text(roles)
        if disabled is not None:
            values["disabled"] = disabled
        if remove_totp:
            values |= {"totp_secret": None, "totp_pending": None}
        if password is not None:
            require_acceptable(password, before.username, before.display_name)
            values["password_hash"] = self._passwords.hash(password)
        if not values:
            return before
        with self._write() as conn:
            actor = self._fresh(conn, subject)
            self.require(actor, Action.ACCOUNT_MANAGE)
            account, ended = self._change(conn, actor, account_id, values)
            sessions_ended: list[str] = []
            if account.disabled or password is not None:
                sessions_ended = self._delete_sessions(conn, sessions.c.account_id == account_id)
        self._announce_sessions_ended(sessions_ended)
        self._announce_ended(ended, AccessOutcome.GRANT_REVOKED)
        self._bus.publish("account.changed", {"account_id": account_id})
        return account

    def _change(
        self, conn: Connection, actor: Subject, account_id: str, values: dict[str, Any]
    ) -> tuple[Account, list[str]]:
        conn.execute(update(accounts).where(accounts.c.id == account_id).values(**values))
        account = _load(conn, account_id)
        _require_security_admin(conn)
        shown = {
            name: value for name, value in values.items() if name in ("display_name", "roles", "disabled")
        }
        shown |= {"password_changed": "password_hash" in values, "totp_removed": "totp_secret" in values}
        self.audit.append(conn, actor, "account.changed", f"account:{account_id}", "ok", shown)
        if account.disabled:
            return account, self._revoke_where(conn, actor, _own_looks(account_id), "account disabled")
        rights = actions_of(account.roles)
        running = load_grants(
            conn, select(grants).where(_own_looks(account_id), grants.c.ended_recorded.is_(False))
        )
        lost = [one.id for one in running if not one.actions <= rights]
        return account, self._revoke_where(conn, actor, grants.c.id.in_(lost), "role taken away")

    def _revoke_where(
        self, conn: Connection, actor: Subject | None, which: ColumnElement[bool], reason: str
    ) -> list[str]:
        """Revoke every running grant that matches; returns their ids, to be announced after the commit.

        Without an ``actor`` it is the house itself that revokes.
        """
        now = self._clock.now()
        running = load_grants(conn, select(grants).where(which, grants.c.ended_recorded.is_(False)))
        ended = []
        for grant in running:
            if grant.state_at(now) not in (GrantState.ACTIVE, GrantState.NOT_STARTED):
                continue  # its end by time is recorded by the scheduler
            conn.execute(
                update(grants)
                .where(grants.c.id == grant.id)
                .values(
                    revoked_at=now,
                    revoked_by=actor.account_id if actor is not None else None,
                    revoked_reason=reason,
                    ended_recorded=True,
                )
            )
            detail = {
                "account": grant.account_id,
                "purpose": grant.purpose_id,
                "reason": reason,
                "revoked_at": now.isoformat(),
            }
            self.audit.append(conn, actor, "grant.revoked", f"grant:{grant.id}", "ok", detail)
            ended.append(grant.id)
        return ended


def _own_looks(account_id: str) -> ColumnElement[bool]:
    """The grants that an account uses itself. A sharing is the house's: it outlives whoever signed it."""
    return (grants.c.account_id == account_id) & (grants.c.origin != GrantOrigin.SHARING.value)


def _load(conn: Connection, account_id: str) -> Account:
    row = conn.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    if row is None:
        raise not_found("account", account_id)
    return account_of(row)


def _require_security_admin(conn: Connection) -> None:
    enabled = select(func.count()).where(
        accounts.c.disabled.is_(False), accounts.c.roles.contains(Role.SECURITY_ADMIN.value)
    )
    if conn.execute(enabled).scalar_one() == 0:
        raise Conflict(
            "this is the last security administrator who can sign in: make another one first",
            code="last_security_admin",
        )
