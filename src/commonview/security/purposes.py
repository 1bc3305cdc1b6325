"""Purposes: why looking is allowed at all. Supervisors define them; three are there from the start."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, insert, select, true, update

from commonview.foundation.ids import new_id
from commonview.security.accounts import Accounts
from commonview.security.base import not_found
from commonview.security.errors import Invalid
from commonview.security.model import AccessOutcome, Action, Purpose, Subject
from commonview.security.roles import NEEDS_GRANT
from commonview.security.rules import DURATION_MIN_S, plain_text
from commonview.security.store import grants, join_words, load_grants, purpose_of, purposes

_TEXT_MAX: Final = {"name_zh": 128, "name_en": 128, "legal_basis": 2000, "owner": 128}
_DURATION_MAX_S: Final = 86400

_DECREE: Final = (
    "《公共安全视频图像信息系统管理条例》（国务院令第799号）第十六条 / State Council Decree 799, Article 16"
)

SEEDS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name_zh": "值守巡查",
        "name_en": "Routine duty watch",
        "legal_basis": _DECREE,
        "owner": "值班室 / Duty office",
        "actions": frozenset({Action.LIVE_VIEW, Action.CAMERA_CONTROL}),
        "max_duration_s": 8 * 3600,
    },
    {
        "name_zh": "事件处置",
        "name_en": "Incident response",
        "legal_basis": _DECREE,
        "owner": "指挥中心 / Command centre",
        "actions": frozenset(
            {
                Action.LIVE_VIEW,
                Action.RECORDING_VIEW,
                Action.EXPORT,
                Action.CAMERA_CONTROL,
                Action.CAMERA_TALK,
            }
        ),
        "max_duration_s": 4 * 3600,
    },
    {
        "name_zh": "设备核查",
        "name_en": "Equipment check",
        "legal_basis": (
            "《公共安全视频图像信息系统管理条例》（国务院令第799号）第十五条 / "
            "State Council Decree 799, Article 15"
        ),
        "owner": "运维部门 / Maintenance",
        "actions": frozenset({Action.LIVE_VIEW, Action.CAMERA_CONTROL, Action.CAMERA_TALK}),
        "max_duration_s": 15 * 60,
    },
)
"""What every installation starts with; supervisors change or retire them."""


class Purposes(Accounts):
    """Verbs about purposes."""

    def purposes(self, subject: Subject) -> Sequence[Purpose]:
        """Every purpose, those in force first. Needs purpose.read."""
        self.require(subject, Action.PURPOSE_READ)
        query = select(purposes).order_by(purposes.c.retired, purposes.c.created_at, purposes.c.id)
        with self._db.read() as conn:
            return [purpose_of(row) for row in conn.execute(query)]

    def create_purpose(
        self,
        subject: Subject,
        *,
        name_zh: str,
        name_en: str,
        legal_basis: str,
        owner: str,
        review_at: datetime,
        actions: frozenset[Action],
        max_duration_s: int,
    ) -> Purpose:
        """Needs purpose.manage. Raises: Forbidden, Invalid, StorageUnavailable."""
        self.require(subject, Action.PURPOSE_MANAGE)
        values = self._checked(
            {
                "name_zh": name_zh,
                "name_en": name_en,
                "legal_basis": legal_basis,
                "owner": owner,
                "review_at": review_at,
                "actions": actions,
                "max_duration_s": max_duration_s,
            }
        )
        with self._write() as conn:
            actor = self._fresh(conn, subject)
            self.require(actor, Action.PURPOSE_MANAGE)
            purpose = self._insert_purpose(conn, actor, values)
        self._bus.publish("system.changed", {"purpose_id": purpose.id})
        return purpose

    def update_purpose(
        self,
        subject: Subject,
        purpose_id: str,
        *,
        name_zh: str | None = None,
        name_en: str | None = None,
        legal_basis: str | None = None,
        owner: str | None = None,
        review_at: datetime | None = None,
        actions: frozenset[Action] | None = None,
        max_duration_s: int | None = None,
        retired: bool | None = None,
    ) -> Purpose:
        """Needs purpose.manage. Retiring a purpose, or taking an action from it, ends the grants it bore.

        Raises: Forbidden, NotFound, Invalid, StorageUnavailable.
        """
        self.require(subject, Action.PURPOSE_MANAGE)
        given = {
            "name_zh": name_zh,
            "name_en": name_en,
            "legal_basis": legal_basis,
            "owner": owner,
            "review_at": review_at,
            "actions": actions,
            "max_duration_s": max_duration_s,
            "retired": retired,
        }
        values = self._checked({name: value for name, value in given.items() if value is not None})
        with self._write() as conn:
            actor = self._fresh(conn, subject)
            self.require(actor, Action.PURPOSE_MANAGE)
            if values:
                conn.execute(update(purposes).where(purposes.c.id == purpose_id).values(**values))
            purpose = load_purpose(conn, purpose_id)
            self.audit.append(conn, actor, "purpose.changed", f"purpose:{purpose_id}", "ok", _shown(values))
            ended = self._revoke_where(
                conn, actor, _no_longer_borne(conn, purpose), "purpose retired or narrowed"
            )
        self._announce_ended(ended, AccessOutcome.GRANT_REVOKED)
        self._bus.publish("system.changed", {"purpose_id": purpose_id})
        return purpose

    def _insert_purpose(self, conn: Connection, actor: Subject | None, values: dict[str, Any]) -> Purpose:
        purpose_id = new_id()
        conn.execute(
            insert(purposes).values(id=purpose_id, retired=False, created_at=self._clock.now(), **values)
        )
        self.audit.append(conn, actor, "purpose.created", f"purpose:{purpose_id}", "ok", _shown(values))
        return load_purpose(conn, purpose_id)

    def _seed_purposes(self, conn: Connection, actor: Subject | None) -> None:
        review_at = self._clock.now() + timedelta(days=365)
        for seed in SEEDS:
            self._insert_purpose(conn, actor, self._checked({**seed, "review_at": review_at}))

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The given values as columns. Raises: Invalid."""
        checked = dict(values)
        for name, longest in _TEXT_MAX.items():
            if name in checked:
                checked[name] = plain_text(checked[name])
                if not 1 <= len(checked[name]) <= longest:
                    raise Invalid(
                        f"{name} has 1 to {longest} characters",
                        code="text_length",
                        field=name,
                        maximum=longest,
                    )
        if "actions" in checked:
            if not checked["actions"] or not checked["actions"] <= NEEDS_GRANT:
                raise Invalid(
                    "a purpose allows at least one of: " + ", ".join(sorted(NEEDS_GRANT)),
                    code="purpose_actions_invalid",
                )
            checked["actions"] = join_words(checked["actions"])
        if not DURATION_MIN_S <= checked.get("max_duration_s", DURATION_MIN_S) <= _DURATION_MAX_S:
            raise Invalid(
                f"a grant lasts {DURATION_MIN_S} to {_DURATION_MAX_S} seconds",
                code="duration_out_of_range",
                minimum_s=DURATION_MIN_S,
                maximum_s=_DURATION_MAX_S,
            )
        return checked


def load_purpose(conn: Connection, purpose_id: str) -> Purpose:
    """Raises: NotFound."""
    row = conn.execute(select(purposes).where(purposes.c.id == purpose_id)).one_or_none()
    if row is None:
        raise not_found("purpose", purpose_id)
    return purpose_of(row)


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def _no_longer_borne(conn: Connection, purpose: Purpose) -> ColumnElement[bool]:
    mine = grants.c.purpose_id == purpose.id
    if purpose.retired:
        return mine & true()
    running = load_grants(conn, select(grants).where(mine, grants.c.ended_recorded.is_(False)))
    return grants.c.id.in_([grant.id for grant in running if not grant.actions <= purpose.actions])
