"""What devices report by themselves: alarms, positions, what alarms set off, and our subscriptions."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_events import (
    AlarmAcknowledge,
    AlarmOut,
    AlarmsOut,
    LinkageBody,
    LinkageOut,
    PositionOut,
    SubscriptionOut,
    SubscriptionWish,
)
from commonview.foundation.errors import CommonviewError
from commonview.network import ChannelUnknown, DeviceUnknown
from commonview.network.events import (
    AlarmCode,
    AlarmState,
    DeviceAlarm,
    LinkageDraft,
    SubscriptionKind,
)
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["device events"])

_TRACK_MAX = 10_000
_CURSOR = r"^[0-9]{1,17}-[A-Za-z0-9_-]{1,64}$"

Maintainer = Annotated[Caller, require(Action.DEVICE_MANAGE)]


class SpanInvalid(CommonviewError):
    """A span of time that is none."""

    default_code = "span_invalid"
    http_status = 422


@router.get("/alarms", dependencies=[require(Action.DEVICE_READ)])
async def list_alarms(
    context: Context,
    state: AlarmState | None = None,
    device_id: Id | None = None,
    channel_id: Id | None = None,
    code: Annotated[list[AlarmCode] | None, Query(max_length=40)] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: Annotated[str | None, Query(pattern=_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AlarmsOut:
    """Alarms of devices, newest first."""
    before, after_id = (_aware(until), "") if cursor is None else _position_of(cursor)
    book = context.network.events.alarms
    found = await book.list(
        state=state,
        device_id=device_id,
        channel_id=channel_id,
        codes=code or (),
        since=_aware(since),
        before=before,
        after_id=after_id,
        limit=limit,
    )
    last = found[-1] if len(found) == limit else None
    return AlarmsOut(
        items=[_alarm_out(context, alarm) for alarm in found],
        cursor=None if last is None else _cursor_at(last),
        open=await book.count_open(),
    )


@router.get("/alarms/{alarm_id}", dependencies=[require(Action.DEVICE_READ)])
async def get_alarm(alarm_id: Id, context: Context) -> AlarmOut:
    """One alarm."""
    return _alarm_out(context, await context.network.events.alarms.get(alarm_id))


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge_alarm(
    alarm_id: Id,
    body: AlarmAcknowledge,
    context: Context,
    caller: Annotated[Caller, require(Action.ALARM_HANDLE)],
) -> AlarmOut:
    """Say that somebody has looked at it. The device is reset by a command of its own."""
    await audited(context, caller, "alarm.acknowledge", f"alarm/{alarm_id}", note=body.note)
    by = caller.subject.username
    return _alarm_out(context, await context.network.events.alarms.acknowledge(alarm_id, by, body.note))


@router.get("/positions", dependencies=[require(Action.DEVICE_READ)])
async def latest_positions(context: Context) -> Items[PositionOut]:
    """The newest position of every mobile device."""
    latest = context.network.events.positions.latest()
    return Items(items=[PositionOut.model_validate(one) for one in latest])


@router.get("/devices/{device_id}/track")
async def device_track(
    device_id: Id,
    context: Context,
    caller: Annotated[Caller, require(Action.DEVICE_READ)],
    since: datetime,
    until: datetime,
    source_id: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=_TRACK_MAX)] = 1000,
) -> Items[PositionOut]:
    """The way a mobile device took; asking for it is on record, because somebody wore or drove it."""
    context.network.device(device_id)
    first, last = _aware(since), _aware(until)
    if first is None or last is None or not timedelta(0) < last - first <= timedelta(days=31):
        raise SpanInvalid("the span must have a length of at most 31 days")
    await audited(context, caller, "position.track", f"device/{device_id}", since=str(first), until=str(last))
    told = await context.network.events.positions.track(device_id, source_id or device_id, first, last, limit)
    return Items(items=[PositionOut.model_validate(one) for one in told])


@router.get("/linkages", dependencies=[require(Action.DEVICE_READ)])
async def list_linkages(context: Context) -> Items[LinkageOut]:
    """What alarms set off."""
    return Items(items=[LinkageOut.model_validate(one) for one in context.network.events.linkages.list()])


@router.post("/linkages", status_code=201)
async def add_linkage(body: LinkageBody, context: Context, caller: Maintainer) -> LinkageOut:
    """Let an alarm set something off."""
    await audited(
        context, caller, "linkage.add", "linkage/new", name=body.name, action_word=body.action.value
    )
    return LinkageOut.model_validate(await context.network.events.linkages.add(_draft(body)))


@router.put("/linkages/{linkage_id}")
async def change_linkage(
    linkage_id: Id, body: LinkageBody, context: Context, caller: Maintainer
) -> LinkageOut:
    """Replace a linkage."""
    context.network.events.linkages.get(linkage_id)
    await audited(context, caller, "linkage.change", f"linkage/{linkage_id}", name=body.name)
    return LinkageOut.model_validate(await context.network.events.linkages.change(linkage_id, _draft(body)))


@router.delete("/linkages/{linkage_id}", status_code=204)
async def remove_linkage(linkage_id: Id, context: Context, caller: Maintainer) -> None:
    """Delete a linkage."""
    context.network.events.linkages.get(linkage_id)
    await audited(context, caller, "linkage.remove", f"linkage/{linkage_id}")
    await context.network.events.linkages.remove(linkage_id)


@router.get("/devices/{device_id}/subscriptions", dependencies=[require(Action.DEVICE_READ)])
async def device_subscriptions(device_id: Id, context: Context) -> Items[SubscriptionOut]:
    """Our subscriptions to a device and where each stands."""
    lines = context.network.subscriptions_of(device_id)
    return Items(items=[SubscriptionOut.model_validate(one) for one in lines])


@router.put("/devices/{device_id}/subscriptions/{kind}")
async def want_subscription(
    device_id: Id, kind: SubscriptionKind, body: SubscriptionWish, context: Context, caller: Maintainer
) -> Items[SubscriptionOut]:
    """Subscribe to a device or not, whatever the setting says."""
    context.network.device(device_id)
    await audited(
        context, caller, "device.subscription", f"device/{device_id}", kind=kind.value, wanted=body.wanted
    )
    lines = await context.network.want_subscription(device_id, kind, body.wanted)
    return Items(items=[SubscriptionOut.model_validate(one) for one in lines])


def _draft(body: LinkageBody) -> LinkageDraft:
    return LinkageDraft(**body.model_dump() | {"codes": tuple(body.codes)})


def _alarm_out(context: ApiContext, alarm: DeviceAlarm) -> AlarmOut:
    fields = {name: getattr(alarm, name) for name in DeviceAlarm.__dataclass_fields__}
    return AlarmOut(
        **fields,
        state=alarm.state,
        device_name=_device_name(context, alarm.device_id),
        channel_name=None if alarm.channel_id is None else _channel_name(context, alarm.channel_id),
    )


def _device_name(context: ApiContext, device_id: str) -> str:
    try:
        return context.network.device(device_id).name
    except DeviceUnknown:
        return device_id


def _channel_name(context: ApiContext, channel_id: str) -> str | None:
    try:
        return context.network.channel(channel_id).name
    except ChannelUnknown:
        return None


def _aware(at: datetime | None) -> datetime | None:
    """A time without a zone is taken for UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _cursor_at(alarm: DeviceAlarm) -> str:
    microseconds = (alarm.received_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return f"{microseconds}-{alarm.id}"


def _position_of(cursor: str) -> tuple[datetime, str]:
    microseconds, _, alarm_id = cursor.partition("-")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds)), alarm_id
