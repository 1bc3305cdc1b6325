"""Two of our own platforms, one above the other, and a book of sharings that lies in memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from commonview.media import CoreMediaNode
from commonview.network import CatalogueState, Channel
from commonview.network.cascade import Edition, Superior, SuperiorSettings
from commonview.network.model import ChannelKind
from commonview.network.registration_plan import RegistrationPhase
from commonview.security import (
    NEEDED,
    AccessOutcome,
    Grant,
    GrantOrigin,
    SharedAccess,
    SharedAction,
    SharedUse,
    Sharing,
    SharingScope,
)
from tests.network.harness import PASSWORD, Room, now, open_room, until
from tests.network.media_room import KEY
from tests.nodes import core_node

UPPER = "34020000002000000001"
LOWER = "34020100002000000002"
ALL_ACTIONS = frozenset(SharedAction)
EVERYTHING = SharingScope(everything=True)


@dataclass
class MemoryBook:
    """Keeps sharings as the security room does, without a database."""

    sharings: list[Sharing] = field(default_factory=list)
    opened: list[tuple[str, str, SharedAction, SharedUse]] = field(default_factory=list)
    closed: list[tuple[str, AccessOutcome]] = field(default_factory=list)
    used: list[tuple[SharedUse, str, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def share(
        self,
        superior_id: str,
        scope: SharingScope = EVERYTHING,
        actions: frozenset[SharedAction] = ALL_ACTIONS,
    ) -> Sharing:
        sharing = Sharing(
            id=f"sharing{len(self.sharings)}",
            superior_id=superior_id,
            owner="duty office",
            purpose_id="purpose",
            reason="city drill",
            actions=actions,
            scope=scope,
            starts_at=now(),
            ends_at=now() + timedelta(days=1),
            created_at=now(),
            created_by="supervisor",
        )
        self.sharings.append(sharing)
        return sharing

    def running_sharings(self) -> Sequence[Sharing]:
        return list(self.sharings)

    def open_shared_access(
        self, sharing_id: str, channel_id: str, action: SharedAction, use: SharedUse, *, protocol: str
    ) -> SharedAccess:
        with self.lock:
            self.opened.append((sharing_id, channel_id, action, use))
            number = len(self.opened)
        grant = Grant(
            id=f"grant-{sharing_id}",
            account_id="supervisor",
            purpose_id="purpose",
            reason="city drill",
            actions=frozenset({NEEDED[action]}),
            channel_ids=frozenset({channel_id}),
            starts_at=now(),
            ends_at=now() + timedelta(hours=1),
            revoked_at=None,
            revoked_by=None,
            revoked_reason=None,
            origin=GrantOrigin.SHARING,
        )
        return SharedAccess(f"relay-access-{number}", grant)

    def close_access(self, access_id: str, outcome: AccessOutcome, *, bytes_sent: int = 0) -> None:
        self.closed.append((access_id, outcome))

    def record_shared_use(
        self, use: SharedUse, action: str, channel_id: str, outcome: str, **detail: str | int
    ) -> None:
        self.used.append((use, action, channel_id, outcome))


def superior_settings(upper: Room, **more: object) -> SuperiorSettings:
    base = SuperiorSettings(
        name="city",
        server_id=UPPER,
        server_domain="3402000000",
        host="127.0.0.1",
        port=upper.service.sip_port,
        local_id=LOWER,
        keepalive_s=1,
        edition=Edition.GB2022,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def phase_of(room: Room, superior: Superior) -> RegistrationPhase:
    return room.service.cascade.superior(superior.id)[1].phase


async def register(
    lower: Room, upper: Room, book: MemoryBook, *, share: bool = True, **more: object
) -> Superior:
    """Let the lower platform register with the upper one; everything is shared with it unless told not."""
    lower.service.cascade.use(book)
    superior = await lower.service.cascade.add(superior_settings(upper, **more), PASSWORD)
    if share:
        book.share(superior.id)
    await refresh(lower)
    await until(lambda: phase_of(lower, superior) is RegistrationPhase.REGISTERED)
    return superior


async def refresh(lower: Room) -> None:
    """Let it see the sharings as they are now."""
    await lower.service.cascade.look_again()


async def listed(upper: Room, device_id: str = LOWER) -> dict[str, Channel]:
    """The channels an upper platform has of a lower one after asking it anew, by their names."""
    await until(lambda: upper.service.device(device_id).catalogue.state is not CatalogueState.RUNNING)
    await upper.service.refresh_catalogue(device_id)
    await until(lambda: upper.service.device(device_id).catalogue.state is CatalogueState.COMPLETE)
    return {one.gb_id: one for one in told(upper, device_id)}


def told(upper: Room, device_id: str = LOWER) -> list[Channel]:
    """The cameras an upper platform shows of a lower one now."""
    for one in upper.service.tree():
        if one.device.id == device_id:
            return [
                channel
                for channel in one.channels
                if channel.vanished_at is None and channel.kind is ChannelKind.VIDEO
            ]
    return []


@asynccontextmanager
async def a_platform(folder: Path, **more: Any) -> AsyncIterator[Room]:
    """A room on a folder of its own, made where it is missing; twice on the same folder is a restart."""
    folder.mkdir(exist_ok=True)
    async with open_room(folder, **more) as room:
        yield room


@asynccontextmanager
async def media_platform(
    folder: Path, *, ports: int = 24, **more: Any
) -> AsyncIterator[tuple[Room, CoreMediaNode]]:
    """A room with a real media node of its own."""
    node = core_node(KEY, ports=ports)
    try:
        async with a_platform(folder, node=node, **more) as room:
            yield room, node
    finally:
        node.close()


@asynccontextmanager
async def camera_known(lower: Room) -> AsyncIterator[None]:
    """Wait until the lower platform has its camera's catalogue."""
    await until(
        lambda: (
            lower.service.devices()
            and all(one.catalogue.state is CatalogueState.COMPLETE for one in lower.service.devices())
        )
    )
    yield
