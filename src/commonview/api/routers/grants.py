"""Grants and access records: who may look and until when, and who looked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from commonview.api.access import Caller, SignedIn, require
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_security import AccessRecordOut, GrantCreate, GrantOut
from commonview.security import AccessRecord, Action, Grant

router = APIRouter(prefix="/api", tags=["grants"])

Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/grants")
def list_grants(
    caller: SignedIn,
    context: Context,
    account_id: Id | None = None,
    active: bool | None = None,
    limit: Limit = 200,
) -> Items[GrantOut]:
    """Grants, newest first: one's own, or everybody's with the right grant.read."""
    grants = context.security.grants(caller.subject, account_id=account_id, active=active, limit=limit)
    return Items(items=_grants_out(context, caller, grants))


@router.post("/grants", status_code=201)
def request_grant(
    body: GrantCreate, context: Context, caller: Annotated[Caller, require(Action.GRANT_REQUEST)]
) -> GrantOut:
    """A grant in one's own name, for stated channels, a purpose and a reason."""
    for channel_id in body.channel_ids:
        context.network.channel(channel_id)
    grant = context.security.request_grant(
        caller.subject,
        channel_ids=body.channel_ids,
        purpose_id=body.purpose_id,
        reason=body.reason,
        duration_s=body.duration_s,
        actions=body.actions,
    )
    return _grants_out(context, caller, [grant])[0]


@router.delete("/grants/{grant_id}")
def revoke_grant(
    grant_id: Id, caller: SignedIn, context: Context, reason: Annotated[str, Query(max_length=500)]
) -> GrantOut:
    """End a grant now: one's own, or anybody's with the right grant.revoke. Its pictures stop."""
    grant = context.security.revoke_grant(caller.subject, grant_id, reason)
    return _grants_out(context, caller, [grant])[0]


@router.get("/access-records")
def list_access_records(
    caller: SignedIn,
    context: Context,
    account_id: Id | None = None,
    channel_id: Id | None = None,
    grant_id: Id | None = None,
    limit: Limit = 200,
) -> Items[AccessRecordOut]:
    """Who looked, newest first: oneself, or everybody with the right access.read."""
    records = context.security.access_records(
        caller.subject, account_id=account_id, channel_id=channel_id, grant_id=grant_id, limit=limit
    )
    names = context.security.account_names({record.account_id for record in records})
    return Items(items=[_record_out(record, names) for record in records])


def _record_out(record: AccessRecord, names: dict[str, str]) -> AccessRecordOut:
    return AccessRecordOut(
        id=record.id,
        grant_id=record.grant_id,
        account_id=record.account_id,
        account_name=names.get(record.account_id, ""),
        channel_id=record.channel_id,
        action=record.action,
        protocol=record.protocol,
        client_address=record.client_address,
        started_at=record.started_at,
        ended_at=record.ended_at,
        outcome=record.outcome,
        bytes_sent=record.bytes_sent,
        detail=dict(record.detail),
    )


def _grants_out(context: ApiContext, caller: Caller, grants: Sequence[Grant]) -> list[GrantOut]:
    if not grants:  # who can never hold or read a grant cannot read purposes either
        return []
    people = {grant.account_id for grant in grants} | {
        grant.revoked_by for grant in grants if grant.revoked_by
    }
    names = context.security.account_names(people)
    purposes = {
        purpose.id: (purpose.name_zh, purpose.name_en)
        for purpose in context.security.purposes(caller.subject)
    }
    now = context.clock.now()
    return [_grant_out(grant, names, purposes, now) for grant in grants]


def _grant_out(
    grant: Grant, names: dict[str, str], purposes: dict[str, tuple[str, str]], now: datetime
) -> GrantOut:
    name_zh, name_en = purposes.get(grant.purpose_id, ("", ""))
    return GrantOut(
        id=grant.id,
        account_id=grant.account_id,
        account_name=names.get(grant.account_id, ""),
        purpose_id=grant.purpose_id,
        purpose_name_zh=name_zh,
        purpose_name_en=name_en,
        reason=grant.reason,
        actions=sorted(grant.actions),
        channel_ids=sorted(grant.channel_ids),
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
        revoked_at=grant.revoked_at,
        revoked_by=names.get(grant.revoked_by, grant.revoked_by) if grant.revoked_by else None,
        revoked_reason=grant.revoked_reason,
        origin=grant.origin,
        state=grant.state_at(now),
    )
