"""Purposes: decided by a supervisor before anybody looks."""

from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_security import PurposeCreate, PurposeOut, PurposeUpdate
from commonview.security import Action

router = APIRouter(prefix="/api/purposes", tags=["purposes"])


@router.get("")
def list_purposes(
    context: Context, caller: Annotated[Caller, require(Action.PURPOSE_READ)]
) -> Items[PurposeOut]:
    """Every purpose, retired ones included."""
    purposes = context.security.purposes(caller.subject)
    return Items(items=[PurposeOut.model_validate(purpose) for purpose in purposes])


@router.post("", status_code=201)
def create_purpose(
    body: PurposeCreate, context: Context, caller: Annotated[Caller, require(Action.PURPOSE_MANAGE)]
) -> PurposeOut:
    """A new purpose."""
    purpose = context.security.create_purpose(
        caller.subject,
        name_zh=body.name_zh,
        name_en=body.name_en,
        legal_basis=body.legal_basis,
        owner=body.owner,
        review_at=body.review_at,
        actions=frozenset(body.actions),
        max_duration_s=body.max_duration_s,
    )
    return PurposeOut.model_validate(purpose)


@router.patch("/{purpose_id}")
def update_purpose(
    purpose_id: Id,
    body: PurposeUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.PURPOSE_MANAGE)],
) -> PurposeOut:
    """Change or retire a purpose; grants that stand on what is taken away end at once."""
    purpose = context.security.update_purpose(
        caller.subject,
        purpose_id,
        name_zh=body.name_zh,
        name_en=body.name_en,
        legal_basis=body.legal_basis,
        owner=body.owner,
        review_at=body.review_at,
        actions=frozenset(body.actions) if body.actions is not None else None,
        max_duration_s=body.max_duration_s,
        retired=body.retired,
    )
    return PurposeOut.model_validate(purpose)
