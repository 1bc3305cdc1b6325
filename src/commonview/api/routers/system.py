"""The server itself: that it answers, what it is, what it counted."""

from typing import Any

from fastapi import APIRouter, Request

from commonview import __version__
from commonview.api.access import require
from commonview.api.context import Context
from commonview.api.schemas import AuditState, Health, Instance, System
from commonview.media import ViewerProtocol
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["system"])


@router.get("/health")
async def health() -> Health:
    """That the server answers."""
    return Health(status="ok")


@router.get("/openapi.json", response_model=dict[str, Any])
async def openapi_document(request: Request) -> dict[str, Any]:
    """This description."""
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/system", dependencies=[require(Action.SYSTEM_READ)])
def system_state(request: Request, context: Context) -> System:
    """Version, addresses, the audit log's health, and every counter, drops included."""
    settings = context.settings
    sip_host = settings.sip_public_host or settings.sip_host
    return System(
        version=__version__,
        instance=Instance(
            id=context.instance_id,
            started_at=context.started_at,
            sip_id=settings.sip_id,
            sip_domain=settings.sip_domain,
            sip_address=f"{sip_host}:{context.sip_port()}",
            media_url=context.media_address.origin(ViewerProtocol.HTTP, request.headers.get("host", "")),
        ),
        audit=AuditState.model_validate(context.security.audit_health()),
        counters=context.counters(),
    )
