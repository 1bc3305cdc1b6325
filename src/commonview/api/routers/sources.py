"""Sources: cameras and recorders that are asked by RTSP or ONVIF instead of registering themselves."""

from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_sources import (
    ChannelPlanIn,
    DiscoveredOut,
    DiscoverRequest,
    SourceAdd,
    SourceAsk,
    SourceOut,
    SourceTestOut,
    SourceUpdate,
)
from commonview.network.sources import ChannelPlan
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["sources"])


@router.get("/sources", dependencies=[require(Action.DEVICE_READ)])
async def list_sources(context: Context) -> Items[SourceOut]:
    """Every source; its device and channels stand in the tree like any other."""
    return Items(items=[SourceOut.model_validate(source) for source in context.network.sources.list()])


@router.post("/sources", status_code=201)
async def add_source(
    body: SourceAdd, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> SourceOut:
    """Add a source. An ONVIF device must answer, for it says itself which channels it has."""
    await audited(context, caller, "source.add", "source", kind=body.kind.value, name=body.name)
    source = await context.network.sources.add(
        body.kind,
        body.name,
        plans=_plans(body.channels),
        url=body.url,
        username=body.username,
        password=body.password.get_secret_value(),
        transport=body.transport,
        certificate_sha256=body.certificate_sha256,
    )
    return SourceOut.model_validate(source)


@router.patch("/sources/{source_id}")
async def update_source(
    source_id: Id,
    body: SourceUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.DEVICE_MANAGE)],
) -> SourceOut:
    """Change a source; streams that run go on as they were, unless it is turned off."""
    context.network.sources.get(source_id)
    changed = ",".join(sorted(body.model_fields_set))
    await audited(context, caller, "source.update", f"source/{source_id}", fields=changed)
    source = await context.network.sources.update(
        source_id,
        name=body.name,
        plans=_plans(body.channels) if body.channels is not None else None,
        username=body.username,
        password=body.password.get_secret_value() if body.password is not None else None,
        transport=body.transport,
        enabled=body.enabled,
        certificate_sha256=body.certificate_sha256,
    )
    return SourceOut.model_validate(source)


@router.delete("/sources/{source_id}", status_code=204)
async def remove_source(
    source_id: Id, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> None:
    """Forget a source with its device and channels; its streams end."""
    context.network.sources.get(source_id)
    await audited(context, caller, "source.remove", f"source/{source_id}")
    await context.network.sources.remove(source_id)


@router.post("/sources/discover")
async def discover_sources(
    body: DiscoverRequest, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> Items[DiscoveredOut]:
    """Look for ONVIF devices; takes three seconds."""
    await audited(context, caller, "source.discover", "source", where=body.address or body.interface)
    found = await context.network.sources.discover(interface=body.interface, address=body.address)
    return Items(items=[DiscoveredOut.model_validate(device) for device in found])


@router.post("/sources/test")
async def test_source(
    body: SourceAsk, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> SourceTestOut:
    """Ask a source that is not added, and keep nothing."""
    await audited(context, caller, "source.test", "source", kind=body.kind.value)
    tested = await context.network.sources.test(
        body.kind,
        plans=_plans(body.channels),
        url=body.url,
        username=body.username,
        password=body.password.get_secret_value(),
        certificate_sha256=body.certificate_sha256,
    )
    return SourceTestOut.model_validate(tested)


@router.post("/sources/{source_id}/test")
async def test_known_source(
    source_id: Id, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> SourceTestOut:
    """Ask a source with what is kept of it."""
    context.network.sources.get(source_id)
    await audited(context, caller, "source.test", f"source/{source_id}")
    return SourceTestOut.model_validate(await context.network.sources.test_known(source_id))


def _plans(channels: list[ChannelPlanIn]) -> list[ChannelPlan]:
    return [ChannelPlan(channel.name, tuple(channel.urls)) for channel in channels]
