"""Devices and channels: what joined, how it is, and what an operator decides about it."""

from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_network import (
    ChannelOut,
    DeviceOut,
    DeviceUpdate,
    RefusalOut,
    TreeDeviceOut,
    TreeOut,
)
from commonview.network import TreeDevice
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["devices"])


@router.get("/devices", dependencies=[require(Action.DEVICE_READ)])
async def list_devices(context: Context) -> Items[DeviceOut]:
    """Every known device."""
    return Items(items=[DeviceOut.model_validate(device) for device in context.network.devices()])


@router.get("/devices/{device_id}", dependencies=[require(Action.DEVICE_READ)])
async def get_device(device_id: Id, context: Context) -> DeviceOut:
    """One device as it stands now."""
    return DeviceOut.model_validate(context.network.device(device_id))


@router.patch("/devices/{device_id}")
async def update_device(
    device_id: Id,
    body: DeviceUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.DEVICE_MANAGE)],
) -> DeviceOut:
    """Name a device, choose its media transport, give it a password of its own; or take these back."""
    context.network.device(device_id)
    changed = sorted((body.model_fields_set - {"clear"}) | {f"-{name}" for name in body.clear})
    await audited(context, caller, "device.update", f"device/{device_id}", fields=",".join(changed))
    device = await context.network.update_device(
        device_id,
        name=body.name,
        media_transport=body.media_transport,
        password=body.password.get_secret_value() if body.password is not None else None,
        clear=frozenset(body.clear),
    )
    return DeviceOut.model_validate(device)


@router.post("/devices/{device_id}/catalogue", status_code=202)
async def refresh_catalogue(
    device_id: Id, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> DeviceOut:
    """Ask the device for its catalogue again; progress shows in `catalogue`."""
    context.network.device(device_id)
    await audited(context, caller, "device.catalogue", f"device/{device_id}")
    return DeviceOut.model_validate(await context.network.refresh_catalogue(device_id))


@router.get("/registrations/refused", dependencies=[require(Action.DEVICE_READ)])
async def list_refused_registrations(context: Context) -> Items[RefusalOut]:
    """Registrations turned away lately, newest first."""
    return Items(items=[RefusalOut.model_validate(refusal) for refusal in context.network.refusals()])


@router.get("/tree", dependencies=[require(Action.DEVICE_READ)])
async def device_tree(context: Context) -> TreeOut:
    """Every device with its channels."""
    return TreeOut(
        devices=[_branch(branch) for branch in context.network.tree()],
        truncated=context.network.tree_is_truncated(),
    )


def _branch(branch: TreeDevice) -> TreeDeviceOut:
    device = DeviceOut.model_validate(branch.device)
    channels = [ChannelOut.model_validate(channel) for channel in branch.channels]
    return TreeDeviceOut.model_construct(**dict(device), channels=channels)
