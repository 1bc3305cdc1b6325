"""Admission: devices that wait for approval, bans, lockouts, passwords of devices."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_admission import (
    AdmissionOut,
    ApplicationOut,
    Approval,
    DeviceAdd,
    LockoutLift,
    LockoutOut,
    MadePasswordOut,
    RefusalOfDevice,
    RuleCreate,
    RuleOut,
)
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["admission"])

Manager = Annotated[Caller, require(Action.DEVICE_MANAGE)]
_READ = [require(Action.DEVICE_READ)]


@router.get("/admission", dependencies=_READ)
async def admission(context: Context) -> AdmissionOut:
    """Unknown devices that proved the enrolment password and wait, and those that were refused."""
    desk = context.network.admission
    found = [ApplicationOut.model_validate(one) for one in desk.applications()]
    return AdmissionOut(mode=desk.mode, applications=found)


@router.post("/devices", status_code=201)
async def add_device(body: DeviceAdd, context: Context, caller: Manager) -> MadePasswordOut:
    """Make a device known before it comes."""
    await audited(context, caller, "device.add", f"device/{body.device_id}", own_password=body.own_password)
    password = await context.network.admission.add(
        body.device_id, name=body.name, generate_password=body.own_password
    )
    return MadePasswordOut(device_id=body.device_id, password=password)


@router.post("/admission/{device_id}/approve")
async def approve_device(device_id: Id, body: Approval, context: Context, caller: Manager) -> MadePasswordOut:
    """Let a waiting device in at its next registration."""
    await audited(context, caller, "device.approve", f"device/{device_id}", own_password=body.own_password)
    password = await context.network.admission.approve(
        device_id, name=body.name, generate_password=body.own_password
    )
    return MadePasswordOut(device_id=device_id, password=password)


@router.post("/admission/{device_id}/refuse")
async def refuse_device(
    device_id: Id, body: RefusalOfDevice, context: Context, caller: Manager
) -> ApplicationOut:
    """Turn a waiting device away from now on."""
    await audited(context, caller, "device.refuse", f"device/{device_id}", reason=body.reason)
    refused = await context.network.admission.refuse(
        device_id, by=caller.subject.username, reason=body.reason
    )
    return ApplicationOut.model_validate(refused)


@router.delete("/admission/{device_id}", status_code=204)
async def forget_application(device_id: Id, context: Context, caller: Manager) -> None:
    """Take an application off the list; the device may knock again."""
    await audited(context, caller, "device.forget_application", f"device/{device_id}")
    await context.network.admission.forget(device_id)


@router.post("/devices/{device_id}/password")
async def make_device_password(device_id: Id, context: Context, caller: Manager) -> MadePasswordOut:
    """Make a new password of its own for a device; shown this once."""
    context.network.device(device_id)
    await audited(context, caller, "device.password", f"device/{device_id}")
    return MadePasswordOut(
        device_id=device_id, password=await context.network.admission.make_password(device_id)
    )


@router.get("/admission/rules", dependencies=_READ)
async def list_admission_rules(context: Context) -> Items[RuleOut]:
    """Bans and exemptions in force, newest first."""
    return Items(items=[RuleOut.model_validate(rule) for rule in context.network.admission.rules.all()])


@router.post("/admission/rules", status_code=201)
async def make_admission_rule(body: RuleCreate, context: Context, caller: Manager) -> RuleOut:
    """Ban or exempt devices by id, address, network or User-Agent, for a time or until lifted."""
    resource = f"admission/{body.subject.value}"
    await audited(
        context,
        caller,
        f"admission.{body.effect.value}",
        resource,
        value=body.value,
        reason=body.reason,
        duration_s=body.duration_s,
    )
    ends = None if body.duration_s is None else context.clock.now() + timedelta(seconds=body.duration_s)
    rule = await context.network.admission.make_rule(
        body.effect,
        body.subject,
        body.value,
        by=caller.subject.username,
        reason=body.reason,
        ends_at=ends,
    )
    return RuleOut.model_validate(rule)


@router.delete("/admission/rules/{rule_id}", status_code=204)
async def lift_admission_rule(rule_id: Id, context: Context, caller: Manager) -> None:
    """End a ban or an exemption now."""
    await audited(context, caller, "admission.lift", f"admission/{rule_id}")
    await context.network.admission.lift_rule(rule_id)


@router.get("/admission/lockouts", dependencies=_READ)
async def list_lockouts(context: Context) -> Items[LockoutOut]:
    """Addresses that guessed wrong passwords too often and must wait."""
    return Items(items=[LockoutOut.model_validate(one) for one in context.network.admission.lockouts()])


@router.post("/admission/lockouts/lift", status_code=204)
async def lift_lockout(body: LockoutLift, context: Context, caller: Manager) -> None:
    """Let an address try a password again at once."""
    await audited(
        context, caller, "admission.lift_lockout", f"admission/{body.device_id or 'all'}", host=body.host
    )
    context.network.admission.lift_lockout(body.host, body.device_id or "")
