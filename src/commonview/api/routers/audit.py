"""The audit log, for auditors and inspectors."""

from typing import Annotated

from fastapi import APIRouter, Query

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.schemas import Items
from commonview.api.schemas_security import AuditEntryOut, CheckpointOut
from commonview.security import Action

router = APIRouter(prefix="/api/audit", tags=["audit"])


@router.get("")
def list_audit_entries(
    context: Context,
    caller: Annotated[Caller, require(Action.AUDIT_READ)],
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Items[AuditEntryOut]:
    """Entries with a sequence below `before`, newest first. Reading them is itself recorded."""
    entries = context.security.audit_entries(caller.subject, before=before, limit=limit)
    return Items(items=[AuditEntryOut.model_validate(entry) for entry in entries])


@router.get("/checkpoint")
def audit_checkpoint(
    context: Context, caller: Annotated[Caller, require(Action.AUDIT_READ)]
) -> CheckpointOut:
    """The newest signed checkpoint: give it to a witness, and compare it later."""
    return CheckpointOut(note=context.security.audit_checkpoint(caller.subject))
