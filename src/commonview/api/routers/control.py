"""Steering cameras, changing devices, and what became of it."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Annotated, cast

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from pydantic import JsonValue

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_control import (
    CapabilityOut,
    CommandOut,
    CommandStepOut,
    ConfigurationBlockOut,
    CruiseDetailOut,
    CruiseOut,
    CruisePointOut,
    HomePositionOut,
    ManagingOrderRequest,
    MemoryCardOut,
    PositionOut,
    PresetOut,
    SnapshotOut,
    SnapshotRequest,
    SnapshotStartedOut,
    SteeringOrderRequest,
    SteeringOut,
    SteerRequest,
)
from commonview.api.snapshot_desk import SnapshotWish
from commonview.network.control import Command, Order, Target, Vector
from commonview.security import Action
from commonview.wire.manscdp import ConfigType

router = APIRouter(prefix="/api", tags=["control"])

Steerer = Annotated[Caller, require(Action.CAMERA_CONTROL)]
Manager = Annotated[Caller, require(Action.DEVICE_MANAGE)]
Viewer = Annotated[Caller, require(Action.LIVE_VIEW)]
Limit = Annotated[int, Query(ge=1, le=500)]


# -- steering


@router.post("/channels/{channel_id}/steer")
async def steer(channel_id: Id, body: SteerRequest, context: Context, caller: Steerer) -> SteeringOut:
    """Move a camera until renewed or stopped. One steers at a time: 409 `ptz_busy` names who."""
    target = await _steerable(context, caller, channel_id)
    steering = context.network.control.steering
    if not steering.holds(target, _holder(caller)):
        await audited(context, caller, "camera.steer", f"channel/{channel_id}")
    lease = await steering.steer(
        target,
        Vector(**body.model_dump()),
        holder=_holder(caller),
        holder_name=caller.subject.display_name,
        account_id=caller.subject.account_id,
    )
    return SteeringOut.model_validate(lease)


@router.get("/channels/{channel_id}/steer")
async def steering_now(channel_id: Id, context: Context, caller: Steerer) -> SteeringOut | None:
    """Who steers this camera now, null when nobody does. Names are told to those who may steer."""
    context.network.control.channel(channel_id)
    lease = context.network.control.steering.lease(channel_id)
    return None if lease is None else SteeringOut.model_validate(lease)


@router.delete("/channels/{channel_id}/steer", status_code=204)
async def release_steering(channel_id: Id, context: Context, caller: Steerer) -> None:
    """Stop, and let others steer. Needs no grant: stopping is always allowed to who moves."""
    target = context.network.control.channel(channel_id)
    await context.network.control.steering.release(target, holder=_holder(caller))


@router.post("/channels/{channel_id}/control", status_code=202)
async def steering_order(
    channel_id: Id, body: SteeringOrderRequest, context: Context, caller: Steerer
) -> CommandOut:
    """Call a preset, start a cruise, switch the wiper: what steers a camera."""
    target = await _steerable(context, caller, channel_id)
    # Somebody else's hand on the camera counts for these as well.
    context.network.control.steering.holds(target, _holder(caller))
    return await _order(context, caller, target, body.order, f"channel/{channel_id}")


@router.post("/channels/{channel_id}/commands", status_code=202)
async def channel_order(
    channel_id: Id, body: ManagingOrderRequest, context: Context, caller: Manager
) -> CommandOut:
    """Change something at a camera; follow the command to see whether it happened."""
    target = context.network.control.channel(channel_id)
    return await _order(context, caller, target, body.order, f"channel/{channel_id}")


@router.post("/devices/{device_id}/commands", status_code=202)
async def device_order(
    device_id: Id, body: ManagingOrderRequest, context: Context, caller: Manager
) -> CommandOut:
    """Change something at a device; follow the command to see whether it happened."""
    target = context.network.control.device(device_id)
    return await _order(context, caller, target, body.order, f"device/{device_id}")


async def _steerable(context: ApiContext, caller: Caller, channel_id: str) -> Target:
    target = context.network.control.channel(channel_id)
    await to_thread.run_sync(context.security.require_steering, caller.subject, channel_id)
    return target


def _holder(caller: Caller) -> str:
    """One sign-in steers as one: a second window of the same person must not fight the first."""
    return caller.subject.session_id or caller.subject.account_id


async def _order(
    context: ApiContext, caller: Caller, target: Target, order: Order, resource: str
) -> CommandOut:
    control = context.network.control
    control.check(target, order)
    kind = str(getattr(order, "kind", ""))
    await audited(context, caller, f"command.{kind}", resource)
    command = await control.order(target, order, caller.subject.account_id)
    return _command(command, {command.account_id: caller.subject.display_name})


# -- what became of commands


@router.get("/commands/{command_id}", dependencies=[require(Action.DEVICE_READ)])
async def get_command(command_id: Id, context: Context) -> CommandOut:
    """One command, step by step."""
    return (await _commands(context, [await context.network.control.command(command_id)]))[0]


@router.get("/devices/{device_id}/commands", dependencies=[require(Action.DEVICE_READ)])
async def list_device_commands(device_id: Id, context: Context, limit: Limit = 100) -> Items[CommandOut]:
    """The newest commands to a device and its cameras."""
    context.network.control.device(device_id)
    found = await context.network.control.commands(device_id=device_id, limit=limit)
    return Items(items=await _commands(context, found))


@router.get("/channels/{channel_id}/commands", dependencies=[require(Action.DEVICE_READ)])
async def list_channel_commands(channel_id: Id, context: Context, limit: Limit = 100) -> Items[CommandOut]:
    """The newest commands to a camera."""
    context.network.control.channel(channel_id)
    found = await context.network.control.commands(channel_id=channel_id, limit=limit)
    return Items(items=await _commands(context, found))


@router.get("/devices/{device_id}/capabilities", dependencies=[require(Action.DEVICE_READ)])
async def list_capabilities(device_id: Id, context: Context) -> Items[CapabilityOut]:
    """What a device and its cameras turned out to do or not to do, with the command that showed it."""
    found = await context.network.control.capabilities(device_id)
    return Items(items=[CapabilityOut.model_validate(one) for one in found])


@router.delete("/devices/{device_id}/capabilities/{kind}", status_code=204)
async def forget_capability(
    device_id: Id,
    kind: Id,
    context: Context,
    caller: Manager,
    channel_id: Annotated[Id | None, Query()] = None,
) -> None:
    """Begin anew with one kind of command, after a new firmware perhaps."""
    context.network.control.device(device_id)
    await audited(
        context, caller, "capability.forget", f"device/{device_id}", kind=kind, channel=channel_id or ""
    )
    await context.network.control.forget_capability(device_id, channel_id, kind)


# -- what a camera tells


@router.get("/channels/{channel_id}/presets", dependencies=[require(Action.DEVICE_READ)])
async def list_presets(channel_id: Id, context: Context) -> Items[PresetOut]:
    """The presets, asked of the camera now."""
    target = context.network.control.channel(channel_id)
    found = await context.network.control.presets(target)
    return Items(items=[PresetOut.model_validate(one) for one in found.values()])


@router.get("/channels/{channel_id}/cruises", dependencies=[require(Action.DEVICE_READ)])
async def list_cruises(channel_id: Id, context: Context) -> Items[CruiseOut]:
    """The cruise tracks, asked of the camera now."""
    target = context.network.control.channel(channel_id)
    found = await context.network.control.questions.cruises(target.record, target.gb_id)
    return Items(items=[CruiseOut.model_validate(one) for one in found.values()])


@router.get("/channels/{channel_id}/cruises/{number}", dependencies=[require(Action.DEVICE_READ)])
async def get_cruise(channel_id: Id, number: int, context: Context) -> CruiseDetailOut:
    """The points of one cruise track."""
    target = context.network.control.channel(channel_id)
    found = await context.network.control.questions.cruise(target.record, target.gb_id, number)
    points = [CruisePointOut.model_validate(one) for one in found.points]
    return CruiseDetailOut(number=number, name=found.name, points=points)


@router.get("/channels/{channel_id}/home-position", dependencies=[require(Action.DEVICE_READ)])
async def get_home_position(channel_id: Id, context: Context) -> HomePositionOut | None:
    """Where the camera returns to by itself; null when it tells nothing."""
    target = context.network.control.channel(channel_id)
    found = await context.network.control.questions.home_position(target.record, target.gb_id)
    return None if found is None else HomePositionOut.model_validate(found)


@router.get("/channels/{channel_id}/position", dependencies=[require(Action.DEVICE_READ)])
async def get_position(channel_id: Id, context: Context) -> PositionOut:
    """Where the camera looks now."""
    target = context.network.control.channel(channel_id)
    found = await context.network.control.questions.position(target.record, target.gb_id)
    return PositionOut.model_validate(found)


@router.get("/devices/{device_id}/cards", dependencies=[require(Action.DEVICE_READ)])
async def list_memory_cards(device_id: Id, context: Context) -> Items[MemoryCardOut]:
    """The memory cards, asked of the device now."""
    target = context.network.control.device(device_id)
    found = await context.network.control.questions.cards(target.record, target.gb_id)
    return Items(
        items=[
            MemoryCardOut(
                number=one.number,
                hdd_name=one.hdd_name,
                status=None if one.status is None else one.status.value,
                format_progress=one.format_progress,
                capacity_mb=one.capacity_mb,
                free_space_mb=one.free_space_mb,
            )
            for one in found.values()
        ]
    )


@router.get("/devices/{device_id}/configuration")
async def get_device_configuration(
    device_id: Id, context: Context, _caller: Manager, types: Annotated[list[ConfigType], Query()]
) -> Items[ConfigurationBlockOut]:
    """Blocks of a device's configuration, asked of it now; what it does not tell is absent."""
    return await _configuration(context, context.network.control.device(device_id), types)


@router.get("/channels/{channel_id}/configuration")
async def get_channel_configuration(
    channel_id: Id, context: Context, _caller: Manager, types: Annotated[list[ConfigType], Query()]
) -> Items[ConfigurationBlockOut]:
    """Blocks of a camera's configuration, asked of its device now; what it does not tell is absent."""
    return await _configuration(context, context.network.control.channel(channel_id), types)


async def _configuration(
    context: ApiContext, target: Target, types: list[ConfigType]
) -> Items[ConfigurationBlockOut]:
    found = await context.network.control.questions.configuration(
        target.record, target.gb_id, dict.fromkeys(types)
    )
    return Items(
        items=[
            ConfigurationBlockOut(type=kind.value, values=cast(dict[str, JsonValue], _plain(block)))
            for kind, block in found.items()
        ]
    )


def _plain(value: object) -> JsonValue:
    """A block's values as JSON; what the device did not tell, and what nobody understood, is left out."""
    if isinstance(value, Enum):
        return cast(JsonValue, value.value)
    if is_dataclass(value):
        named = ((one.name, getattr(value, one.name)) for one in fields(value) if one.name != "extra")
        return {name: _plain(inner) for name, inner in named if inner is not None and inner != ""}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return cast(JsonValue, value)


# -- snapshots


@router.post("/channels/{channel_id}/snapshots", status_code=202)
async def take_snapshot(
    channel_id: Id, body: SnapshotRequest, context: Context, caller: Viewer
) -> SnapshotStartedOut:
    """Have the camera take pictures and upload them here, under a grant; follow the command."""
    wish = SnapshotWish(**body.model_dump())
    access, command = await context.snapshots.take(caller.subject, channel_id, wish)
    return SnapshotStartedOut(
        access_id=access.record.id,
        grant_id=access.grant.id,
        command=_command(command, {command.account_id: caller.subject.display_name}),
    )


@router.get("/snapshots")
async def list_snapshots(
    context: Context, caller: Viewer, channel_id: Annotated[Id | None, Query()] = None
) -> Items[SnapshotOut]:
    """The pictures one had taken in the last 24 hours, newest first."""
    found = await context.network.control.snapshots.of(caller.subject.account_id, channel_id)
    return Items(items=[SnapshotOut.model_validate(one) for one in found])


@router.get("/snapshots/{snapshot_id}/picture", response_class=Response)
async def get_snapshot_picture(
    snapshot_id: Id, context: Context, caller: Viewer, grant_id: Annotated[Id | None, Query()] = None
) -> Response:
    """The picture itself (JPEG), under a running grant; every showing leaves an access record."""
    _, picture = await context.snapshots.show(caller.subject, snapshot_id, grant_id)
    return Response(picture, media_type="image/jpeg")


# -- shaping


async def _commands(context: ApiContext, found: Iterable[Command]) -> list[CommandOut]:
    commands = list(found)
    names = await to_thread.run_sync(context.security.account_names, {one.account_id for one in commands})
    return [_command(one, names) for one in commands]


def _command(command: Command, names: dict[str, str]) -> CommandOut:
    return CommandOut(
        id=command.id,
        device_id=command.device_id,
        channel_id=command.channel_id,
        kind=command.kind,
        parameters=cast(dict[str, JsonValue], dict(command.parameters)),
        account_id=command.account_id,
        account_name=names.get(command.account_id, ""),
        created_at=command.created_at,
        state=command.state,
        failure=command.failure,
        over=command.over,
        steps=[CommandStepOut.model_validate(step) for step in command.steps],
    )
