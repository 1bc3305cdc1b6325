"""Disks of recordings: which, how they do, and how long they will do."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_storage import DiskChange, DiskIn, DiskOut, ForecastOut
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["recording"])


@router.get("/recording/disks", dependencies=[require(Action.RECORDING_READ)])
async def list_recording_disks(context: Context) -> Items[DiskOut]:
    """Every disk and how it does."""
    return Items(items=[DiskOut.of(health) for health in context.recording.disks.health()])


@router.post("/recording/disks", status_code=201)
async def add_recording_disk(
    body: DiskIn, context: Context, caller: Annotated[Caller, require(Action.STORAGE_MANAGE)]
) -> DiskOut:
    """Record to another folder as well; it must be empty or new."""
    health = await context.recording.disks.add(
        caller.subject, Path(body.root), body.policy, body.reserve_bytes
    )
    return DiskOut.of(health)


@router.put("/recording/disks/{disk_id}")
async def change_recording_disk(
    disk_id: Id,
    body: DiskChange,
    context: Context,
    caller: Annotated[Caller, require(Action.STORAGE_MANAGE)],
) -> DiskOut:
    """Decide what gives way when a disk is full."""
    return DiskOut.of(
        await context.recording.disks.change(caller.subject, disk_id, body.policy, body.reserve_bytes)
    )


@router.get("/recording/forecast", dependencies=[require(Action.RECORDING_READ)])
async def forecast_recording(context: Context) -> ForecastOut:
    """How long the disks will do, by what was recorded in the last days; at most a minute old."""
    return ForecastOut.of(await context.recording.forecaster.read())
