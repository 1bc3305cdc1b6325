"""The catalogue at scale: the tree a level at a time, search, channels in full, groups, profiles of peers."""

from typing import Annotated

from fastapi import APIRouter, Query

from commonview.api.access import Caller, require
from commonview.api.audited import audited
from commonview.api.context import ApiContext, Context
from commonview.api.schemas import Id, Items
from commonview.api.schemas_network import ChannelOut, DeviceOut
from commonview.api.schemas_tree import (
    ChannelDetailOut,
    ChannelEdit,
    ChannelPageOut,
    Cursor,
    Deleted,
    GroupChannels,
    GroupChannelsOut,
    GroupCreate,
    GroupOut,
    GroupUpdate,
    Limit,
    NodePageOut,
    PeerQuirksDetailOut,
    PeerQuirksPage,
    QuirkEntryOut,
    QuirkOverrides,
    QuirkTableOut,
    SyncReportOut,
    TreeCountsOut,
    TreeFoundOut,
    TreeNodeOut,
)
from commonview.network import Channel, ChannelStatus, quirks
from commonview.network.quirks import write_value
from commonview.network.tree import ChannelQuery, Group, NodeKind, TreeNode, TreeView
from commonview.security import Action

router = APIRouter(prefix="/api", tags=["tree"])

Manager = Annotated[Caller, require(Action.DEVICE_MANAGE)]
_READ = [require(Action.DEVICE_READ)]
OptionalId = Annotated[str, Query(max_length=128, pattern=r"^[A-Za-z0-9._~-]*$")]


@router.get("/tree/nodes", dependencies=_READ)
async def tree_nodes(
    context: Context,
    view: TreeView = TreeView.DEVICE,
    parent: OptionalId = "",
    cursor: Cursor = "",
    limit: Limit = 100,
) -> NodePageOut:
    """The children of a node of a view, a page at a time; without a parent those at the root."""
    page = await context.network.channel_tree.nodes(view, parent, cursor, limit)
    watched = context.network.watched_channels()
    return NodePageOut(nodes=[_line(context, node, watched) for node in page.nodes], cursor=page.cursor)


@router.get("/tree/counts", dependencies=_READ)
async def tree_counts(context: Context) -> TreeCountsOut:
    """How many devices and cameras there are, and how many of them are there now."""
    return TreeCountsOut.model_validate(context.network.channel_tree.finder.counts())


@router.get("/tree/search", dependencies=_READ)
async def search_tree(
    context: Context,
    q: Annotated[str, Query(min_length=1, max_length=64)],
    cursor: Cursor = "",
    limit: Limit = 100,
) -> TreeFoundOut:
    """What one types into the tree: names anywhere, ids from their beginning."""
    tree = context.network.channel_tree
    sought = q.strip()
    page = await tree.finder.cameras(sought, cursor, limit)
    fitting = [] if cursor else tree.finder.devices(sought, limit)
    holders = [one.device_id for one in page.channels]
    watched = context.network.watched_channels()
    lines = [
        _line(context, tree.device_node(device_id), watched) for device_id in dict.fromkeys(holders + fitting)
    ]
    found = [_seen(one, watched) for one in page.channels]
    return TreeFoundOut(devices=lines, channels=found, cursor=page.cursor)


def _line(context: ApiContext, node: TreeNode, watched: frozenset[str]) -> TreeNodeOut:
    device = context.network.device(node.id) if node.kind is NodeKind.DEVICE else None
    return TreeNodeOut(
        id=node.id,
        kind=node.kind,
        name=node.name,
        total=node.total,
        on=node.on,
        has_children=node.has_children,
        device_id=node.device_id,
        online=node.online,
        channel=None if node.channel is None else _seen(node.channel, watched),
        device=None if device is None else DeviceOut.model_validate(device),
    )


def _seen(channel: Channel, watched: frozenset[str]) -> ChannelOut:
    shown = ChannelOut.model_validate(channel)
    return shown.model_copy(update={"watching": True}) if channel.id in watched else shown


@router.get("/channels", dependencies=_READ)
async def search_channels(
    context: Context,
    q: Annotated[str, Query(max_length=64, description="Sought anywhere in the name.")] = "",
    code: Annotated[str, Query(max_length=32, pattern=r"^[A-Za-z0-9_-]*$", description="Begins so.")] = "",
    status: ChannelStatus | None = None,
    device: OptionalId = "",
    region: Annotated[str, Query(pattern=r"^([0-9]{2}){0,4}$")] = "",
    group: OptionalId = "",
    cursor: Cursor = "",
    limit: Limit = 100,
) -> ChannelPageOut:
    """Channels that fit everything given."""
    query = ChannelQuery(
        text=q,
        code=code,
        status=status,
        device_id=device,
        region=region,
        group_id=group,
        cursor=cursor,
        limit=limit,
    )
    return ChannelPageOut.model_validate(await context.network.channel_tree.search(query))


@router.get("/channels/{channel_id}", dependencies=_READ)
async def channel_detail(channel_id: Id, context: Context) -> ChannelDetailOut:
    """Everything known of a channel."""
    return ChannelDetailOut.model_validate(await context.network.channel_tree.detail(channel_id))


@router.patch("/channels/{channel_id}")
async def edit_channel(
    channel_id: Id, body: ChannelEdit, context: Context, caller: Manager
) -> ChannelDetailOut:
    """Give a channel a name, a place or a position of your own; its device's words stay beside them."""
    context.network.channel(channel_id)
    fields = sorted((body.model_fields_set - {"clear"}) | {f"-{name}" for name in body.clear})
    await audited(context, caller, "channel.update", f"channel/{channel_id}", fields=",".join(fields))
    position = None if body.longitude is None or body.latitude is None else (body.longitude, body.latitude)
    detail = await context.network.channel_tree.edit(
        channel_id, name=body.name, place=body.place, position=position, clear=frozenset(body.clear)
    )
    return ChannelDetailOut.model_validate(detail)


@router.get("/devices/{device_id}/catalogue/reports", dependencies=_READ)
async def catalogue_reports(device_id: Id, context: Context) -> Items[SyncReportOut]:
    """What the last questions for the device's catalogue brought, newest first."""
    reports = await context.network.channel_tree.reports(device_id)
    return Items(items=[SyncReportOut.model_validate(report) for report in reports])


# -- groups


def _shown(context: ApiContext, group: Group) -> GroupOut:
    count = context.network.channel_tree.group_counts.count(group.id)
    return GroupOut(
        id=group.id,
        parent_id=group.parent_id,
        name=group.name,
        created_at=group.created_at,
        total=count.total,
        on=count.on,
    )


@router.get("/groups", dependencies=_READ)
async def list_groups(context: Context) -> Items[GroupOut]:
    """Every business group and virtual organisation that operators made."""
    return Items(items=[_shown(context, group) for group in context.network.channel_tree.groups.all()])


@router.post("/groups", status_code=201)
async def create_group(body: GroupCreate, context: Context, caller: Manager) -> GroupOut:
    """Make a business group, or a virtual organisation below one."""
    await audited(context, caller, "group.create", f"group/{body.parent_id or 'root'}", name=body.name)
    groups = context.network.channel_tree.groups
    return _shown(context, await groups.create(body.name, body.parent_id or ""))


@router.patch("/groups/{group_id}")
async def update_group(group_id: Id, body: GroupUpdate, context: Context, caller: Manager) -> GroupOut:
    """Rename or move a group."""
    groups = context.network.channel_tree.groups
    groups.get(group_id)
    fields = ",".join(sorted(body.model_fields_set))
    await audited(context, caller, "group.update", f"group/{group_id}", fields=fields)
    return _shown(context, await groups.change(group_id, name=body.name, parent_id=body.parent_id))


@router.delete("/groups/{group_id}")
async def delete_group(group_id: Id, context: Context, caller: Manager) -> Deleted:
    """Delete a group and everything below it; channels only leave them."""
    groups = context.network.channel_tree.groups
    groups.get(group_id)
    await audited(context, caller, "group.delete", f"group/{group_id}")
    return Deleted(deleted=await groups.delete(group_id))


@router.post("/groups/{group_id}/channels")
async def change_group_channels(
    group_id: Id, body: GroupChannels, context: Context, caller: Manager
) -> GroupChannelsOut:
    """Put channels into a group and take channels out of it."""
    groups = context.network.channel_tree.groups
    groups.get(group_id)
    adding = [context.network.channel(one) for one in body.add]
    removing = [context.network.channel(one) for one in body.remove]
    await audited(
        context, caller, "group.channels", f"group/{group_id}", added=len(adding), removed=len(removing)
    )
    removed = await groups.remove(group_id, [(one.device_id, one.gb_id) for one in removing])
    added = await groups.add(group_id, [(one.device_id, one.gb_id) for one in adding])
    return GroupChannelsOut(added=added, removed=removed)


# -- profiles of peers


@router.get("/quirks", dependencies=_READ)
async def quirk_table() -> QuirkTableOut:
    """Every known peculiarity with its source, and how often each flag fired."""
    entries = [
        QuirkEntryOut(
            name=entry.name,
            trap=entry.trap,
            source=entry.source,
            sets={flag.value: write_value(value) for flag, value in entry.sets.items()},
        )
        for entry in quirks.table()
    ]
    return QuirkTableOut(entries=entries, fired={flag.value: quirks.fired[flag] for flag in quirks.Flag})


@router.get("/quirks/devices", dependencies=_READ)
async def list_device_quirks(context: Context, cursor: Cursor = "", limit: Limit = 100) -> PeerQuirksPage:
    """Which profile each device has, by device id."""
    devices, following = context.network.quirks.page(cursor, limit)
    return PeerQuirksPage.model_validate({"devices": devices, "cursor": following})


@router.get("/devices/{device_id}/quirks", dependencies=_READ)
async def device_quirks(device_id: Id, context: Context) -> PeerQuirksDetailOut:
    """A device's profile: every flag, why it has its value, and how often it fired."""
    return PeerQuirksDetailOut.model_validate(context.network.quirks.of(device_id))


@router.put("/devices/{device_id}/quirks")
async def override_device_quirks(
    device_id: Id, body: QuirkOverrides, context: Context, caller: Manager
) -> PeerQuirksDetailOut:
    """Set flags of a device against the table; replaces what was set before."""
    context.network.quirks.of(device_id)
    overrides = {one.flag.value: one.value for one in body.overrides}
    flags = ",".join(sorted(overrides))
    await audited(context, caller, "device.quirks", f"device/{device_id}", flags=flags)
    return PeerQuirksDetailOut.model_validate(await context.network.quirks.override(device_id, overrides))
