"""The words of the tree: nodes of its three views, pages of channels, edits and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import CommonviewError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from commonview.network.model import Channel, ChannelStatus

MAX_PAGE: Final = 500
"""What is asked for at once at most."""


class TreeView(StrEnum):
    """By what the tree is arranged."""

    DEVICE = "device"  # devices, and under each what its own catalogue says (Annex J)
    REGION = "region"  # administrative regions of 2, 4, 6 and 8 digits
    GROUP = "group"  # business groups and virtual organisations that operators made


class NodeKind(StrEnum):
    """What a node of the tree is."""

    DEVICE = "device"
    REGION = "region"
    GROUP = "group"
    ORGANISATION = "organisation"  # of a device's own catalogue
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One line of the tree. ``id`` is what to ask for its children with, in the same view.

    ``total`` and ``on``: cameras in it and below, and those whose device is present and calls them on.
    """

    id: str
    kind: NodeKind
    name: str
    total: int
    on: int
    has_children: bool
    device_id: str | None = None
    online: bool | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class NodePage:
    """Children of a node; ``cursor`` asks for those that follow, ``None`` at the end."""

    nodes: tuple[TreeNode, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """Channels that were searched for."""

    channels: tuple[Channel, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class TreeCounts:
    """The whole tree in numbers. ``on``: cameras whose device is present and calls them on."""

    devices: int
    online: int
    problems: int
    cameras: int
    on: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelQuery:
    """What to search for; everything given must hold. ``text`` is sought anywhere in the name, ``code`` is
    how the GB id begins."""

    text: str = ""
    code: str = ""
    status: ChannelStatus | None = None
    device_id: str = ""
    region: str = ""
    group_id: str = ""
    cursor: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ChannelDetail:
    """Everything known of a channel: the device's own words beside the operator's, and every other field."""

    channel: Channel
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
    groups: tuple[str, ...]
    changed_at: datetime
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """A business group (215) or, below one, a virtual organisation (216), made by an operator."""

    id: str
    parent_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one question for a catalogue brought. ``promised`` is the device's own total, if it told one.

    ``refused`` items had no usable id.
    """

    device_id: str
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


class NodeUnknown(CommonviewError):
    """There is no such node in this view."""

    default_code = "tree_node_unknown"
    http_status = 404


class GroupUnknown(CommonviewError):
    """There is no such group."""

    default_code = "group_unknown"
    http_status = 404


class TreeInvalid(CommonviewError):
    """A search, a cursor or an edit that cannot be; the message says what and why."""

    default_code = "tree_invalid"
    http_status = 422
