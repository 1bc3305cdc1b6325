"""Bodies of the catalogue: the lazy tree, search, channel details and edits, groups, profiles of peers."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from commonview.api.schemas import Answer, Id, Request
from commonview.api.schemas_network import ChannelOut, DeviceOut
from commonview.network.quirks import Flag
from commonview.network.tree import NodeKind

ShownName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
Cursor = Annotated[str, StringConstraints(max_length=160)]
Limit = Annotated[int, Field(ge=1, le=500)]


class TreeNodeOut(Answer):
    """One line of the tree. `total` and `on` count cameras in it and below; `device` is set for devices."""

    id: str
    kind: NodeKind
    name: str
    total: int
    on: int
    has_children: bool
    device_id: str | None
    online: bool | None
    channel: ChannelOut | None
    device: DeviceOut | None


class NodePageOut(Answer):
    """Children of a node; `cursor` asks for those that follow, null at the end."""

    nodes: list[TreeNodeOut]
    cursor: str | None


class TreeCountsOut(Answer):
    """The whole tree in numbers; a device with `problems` may be online."""

    devices: int
    online: int
    problems: int
    cameras: int
    on: int


class TreeFoundOut(Answer):
    """What a search of the tree found: devices by name, id or address, and cameras with their devices' lines.

    `devices` holds the devices that fit and those of the cameras; `cursor` asks for more cameras.
    """

    devices: list[TreeNodeOut]
    channels: list[ChannelOut]
    cursor: str | None


class ChannelPageOut(Answer):
    """Channels that were searched for; `cursor` asks for those that follow, null at the end."""

    channels: list[ChannelOut]
    cursor: str | None


class ChannelDetailOut(Answer):
    """A channel with everything its device tells (`told_*`, `raw`) and what operators set (`given_*`)."""

    channel: ChannelOut
    online: bool
    told_name: str
    told_place: str
    told_longitude: float | None
    told_latitude: float | None
    given_name: str | None
    given_place: str | None
    given_longitude: float | None
    given_latitude: float | None
    block: str
    business_group_id: str
    parental: bool | None
    register_way: int | None
    secrecy: int | None
    ip_address: str
    port: int | None
    ptz_type: int | None
    region: str
    groups: list[str]
    changed_at: datetime
    raw: dict[str, Any]


class ChannelEdit(Request):
    """An operator's own words for a channel; `clear` names fields that go back to the device's."""

    name: ShownName | None = None
    place: ShownName | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    clear: list[Annotated[str, StringConstraints(pattern="^(name|place|position)$")]] = Field(
        default=[], max_length=3
    )

    @model_validator(mode="after")
    def _whole_position(self) -> Self:
        if (self.longitude is None) != (self.latitude is None):
            raise ValueError("longitude and latitude are given together")
        return self


class GroupOut(Answer):
    """A business group, or below one a virtual organisation, made by an operator."""

    id: str
    parent_id: str
    name: str
    created_at: datetime
    total: int
    on: int


class GroupCreate(Request):
    """A new group; without a parent a business group."""

    name: ShownName
    parent_id: Id | None = None


class GroupUpdate(Request):
    """Rename or move a group."""

    name: ShownName | None = None
    parent_id: Id | None = None


class GroupChannels(Request):
    """Channels to put into a group and to take out of it, by their house-wide ids."""

    add: list[Id] = Field(default=[], max_length=1000)
    remove: list[Id] = Field(default=[], max_length=1000)


class GroupChannelsOut(Answer):
    """How many channels came into the group and left it."""

    added: int
    removed: int


class Deleted(Answer):
    """How many went."""

    deleted: int


class SyncReportOut(Answer):
    """What one question for a catalogue brought; `promised` is the device's own total."""

    started_at: datetime
    finished_at: datetime
    completion: str
    promised: int | None
    received: int
    added: int
    changed: int
    vanished: int
    refused: int
    pages: int
    repeated_pages: int
    late_pages: int


class QuirkEntryOut(Answer):
    """One known peculiarity: which flags it sets, where it was seen."""

    name: str
    trap: int | None
    source: str
    sets: dict[str, str]


class QuirkTableOut(Answer):
    """Every known peculiarity, and how often each flag made a difference since the start."""

    entries: list[QuirkEntryOut]
    fired: dict[str, int]


class PeerQuirksOut(Answer):
    """Which profile a device has: the entries that match it and what the operator overrode."""

    device_id: str
    name: str
    manufacturer: str
    model: str
    firmware: str
    user_agent: str
    version: str
    charset: str
    entries: list[str]
    overrides: dict[str, str]
    fired: int


class PeerQuirksPage(Answer):
    """Devices with their profiles; `cursor` asks for those that follow."""

    devices: list[PeerQuirksOut]
    cursor: str | None


class QuirkSettingOut(Answer):
    """One flag of one device: its value, the standard's way, who decided, how often it fired."""

    flag: Flag
    value: str
    standard: str
    entry: str | None
    overridden: bool
    choices: list[str]
    fired: int


class QuirkReasonOut(Answer):
    """An entry that applies, with where it was seen."""

    entry: str
    trap: int | None
    source: str
    flags: list[Flag]


class PeerQuirksDetailOut(Answer):
    """A device's profile with every flag and every reason."""

    peer: PeerQuirksOut
    settings: list[QuirkSettingOut]
    reasons: list[QuirkReasonOut]


class QuirkOverride(Request):
    """One flag and the value the operator gives it."""

    flag: Flag
    value: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class QuirkOverrides(Request):
    """What the operator sets, flag by flag; replaces everything set before."""

    overrides: list[QuirkOverride] = Field(max_length=40)
