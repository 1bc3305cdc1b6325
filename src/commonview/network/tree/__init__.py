"""Channels at scale: the catalogue's tables, its trees, search, and the operator's own groups."""

from commonview.network.tree.model import (
    ChannelDetail,
    ChannelPage,
    ChannelQuery,
    Group,
    GroupUnknown,
    NodeKind,
    NodePage,
    NodeUnknown,
    SyncReport,
    TreeInvalid,
    TreeNode,
    TreeView,
)

__all__ = [
    "ChannelDetail",
    "ChannelPage",
    "ChannelQuery",
    "Group",
    "GroupUnknown",
    "NodeKind",
    "NodePage",
    "NodeUnknown",
    "SyncReport",
    "TreeInvalid",
    "TreeNode",
    "TreeView",
]
