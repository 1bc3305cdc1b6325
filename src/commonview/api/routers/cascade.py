"""The cascade: superiors, what they are offered, what they pull, and the sharings that allow it."""

from collections.abc import Sequence
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_cascade import (
    RelayOut,
    SharedChannelOut,
    SharedChannelPage,
    SharedChannelUpdate,
    SharingAdd,
    SharingOut,
    SharingRevoke,
    SuperiorAdd,
    SuperiorIn,
    SuperiorOut,
    SuperiorUpdate,
)
from commonview.network.cascade import SuperiorSettings
from commonview.security import Action, Sharing, SharingScope

router = APIRouter(prefix="/api", tags=["cascade"])


@router.get("/superiors", dependencies=[require(Action.SHARING_READ)])
async def list_superiors(context: Context) -> Items[SuperiorOut]:
    """Every superior and how it stands."""
    found = context.network.cascade.superiors()
    return Items(items=[SuperiorOut.of(superior, status) for superior, status in found])


@router.post("/superiors", status_code=201)
async def add_superior(
    body: SuperiorAdd, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> SuperiorOut:
    """Register with a superior. It is offered nothing before a sharing with it is in force."""
    await audited(context, caller, "superior.add", "superior", name=body.name, server=body.server_id)
    added = await context.network.cascade.add(_settings(body), body.password.get_secret_value())
    return SuperiorOut.of(*context.network.cascade.superior(added.id))


@router.get("/superiors/{superior_id}", dependencies=[require(Action.SHARING_READ)])
async def get_superior(superior_id: Id, context: Context) -> SuperiorOut:
    """One superior."""
    return SuperiorOut.of(*context.network.cascade.superior(superior_id))


@router.put("/superiors/{superior_id}")
async def update_superior(
    superior_id: Id,
    body: SuperiorUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.DEVICE_MANAGE)],
) -> SuperiorOut:
    """Change a superior: its relays end, and we register with it as it is now."""
    context.network.cascade.superior(superior_id)
    await audited(context, caller, "superior.update", f"superior/{superior_id}", server=body.server_id)
    password = None if body.password is None else body.password.get_secret_value()
    await context.network.cascade.change(superior_id, _settings(body), password)
    return SuperiorOut.of(*context.network.cascade.superior(superior_id))


@router.delete("/superiors/{superior_id}", status_code=204)
async def remove_superior(
    superior_id: Id, context: Context, caller: Annotated[Caller, require(Action.DEVICE_MANAGE)]
) -> None:
    """Forget a superior; refused while a sharing with it is in force."""
    context.network.cascade.superior(superior_id)
    await audited(context, caller, "superior.remove", f"superior/{superior_id}")
    await context.network.cascade.remove(superior_id)


@router.get("/superiors/{superior_id}/channels", dependencies=[require(Action.SHARING_READ)])
async def list_shared_channels(
    superior_id: Id,
    context: Context,
    cursor: Annotated[str, Query(max_length=128)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> SharedChannelPage:
    """What a superior is offered now, under which ids and names."""
    found, after, total = await context.network.cascade.offers.channels(superior_id, cursor, limit)
    return SharedChannelPage(
        items=[SharedChannelOut.model_validate(one) for one in found], total=total, cursor=after
    )


@router.patch("/superiors/{superior_id}/channels/{channel_id}", status_code=204)
async def name_shared_channel(
    superior_id: Id,
    channel_id: Id,
    body: SharedChannelUpdate,
    context: Context,
    caller: Annotated[Caller, require(Action.DEVICE_MANAGE)],
) -> None:
    """Change the id or the name that a superior knows a channel by."""
    await audited(
        context,
        caller,
        "superior.channel_named",
        f"channel:{channel_id}",
        superior=superior_id,
        own_id=body.own_id or "",
        own_name=body.own_name or "",
    )
    await context.network.cascade.offers.name_channel(
        superior_id, channel_id, own_id=body.own_id, own_name=body.own_name
    )


@router.get("/relays", dependencies=[require(Action.SHARING_READ)])
async def list_relays(context: Context, superior_id: Id | None = None) -> Items[RelayOut]:
    """What superiors pull now, and what they pulled lately, newest first."""
    cascade = context.network.cascade
    every = (*cascade.relays.relays(superior_id), *cascade.talks.relays(superior_id))
    newest_first = sorted(every, key=lambda one: one.started_at, reverse=True)
    return Items(items=[RelayOut.of(one) for one in newest_first])


@router.get("/sharings")
def list_sharings(
    context: Context, caller: Annotated[Caller, require(Action.SHARING_READ)]
) -> Items[SharingOut]:
    """Every agreement, oldest first."""
    return Items(items=_agreed(context, context.security.sharings(caller.subject)))


@router.post("/sharings", status_code=201)
async def create_sharing(
    body: SharingAdd, context: Context, caller: Annotated[Caller, require(Action.SHARING_MANAGE)]
) -> SharingOut:
    """Share channels with a superior."""
    context.network.cascade.superior(body.superior_id)
    scope = body.scope
    sharing = await to_thread.run_sync(
        lambda: context.security.create_sharing(
            caller.subject,
            superior_id=body.superior_id,
            owner=body.owner,
            purpose_id=body.purpose_id,
            reason=body.reason,
            actions=body.actions,
            scope=SharingScope(
                scope.everything,
                scope.channel_ids,
                scope.group_ids,
                scope.excluded_channel_ids,
                scope.excluded_group_ids,
            ),
            starts_at=body.starts_at,
            ends_at=body.ends_at,
        )
    )
    return (await to_thread.run_sync(_agreed, context, [sharing]))[0]


@router.post("/sharings/{sharing_id}/revoke")
async def revoke_sharing(
    sharing_id: Id,
    body: SharingRevoke,
    context: Context,
    caller: Annotated[Caller, require(Action.SHARING_MANAGE)],
) -> SharingOut:
    """End an agreement now: what runs under it is cut before this answers."""
    sharing = await to_thread.run_sync(
        lambda: context.security.revoke_sharing(caller.subject, sharing_id, body.reason)
    )
    return (await to_thread.run_sync(_agreed, context, [sharing]))[0]


def _agreed(context: ApiContext, sharings: Sequence[Sharing]) -> list[SharingOut]:
    """Agreements as they are shown; reads the names of people, so not on the event loop."""
    people = {who for one in sharings for who in (one.created_by, one.revoked_by) if who}
    names, now = context.security.account_names(people), context.clock.now()
    return [SharingOut.of(one, now, names) for one in sharings]


def _settings(body: SuperiorIn) -> SuperiorSettings:
    return SuperiorSettings(**{name: getattr(body, name) for name in SuperiorIn.model_fields})
