"""What the media node says of relays: superiors connected, sent to, gone; pasts that stall or end."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from commonview.media import (
    MediaError,
    SenderConnected,
    SenderEnded,
    SenderFirstPacket,
    StreamEnded,
    StreamStalled,
    TcpFailed,
    ViewerJoined,
    ViewerLeft,
)
from commonview.network.cascade.model import RelayEnd
from commonview.network.cascade.relay import LiveRelaySource
from commonview.network.model import ViewerEvent, ViewerEventKind
from commonview.security import SharedAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commonview.media import MediaEvent
    from commonview.network.cascade.ground import RelayGround
    from commonview.network.cascade.relay import Keeper, Run
    from commonview.network.cascade.service import Cascade

_KEPT: Final = 20_000
_BYE_FOLLOWS_S: Final = 1.0
_ENDS: Final = {
    "grant_ended": RelayEnd.SHARING_ENDED,
    "grant_revoked": RelayEnd.SHARING_ENDED,
    "access_cut": RelayEnd.SHARING_ENDED,
    "stream_ended": RelayEnd.SOURCE_ENDED,
}
"""By the media node's reason; every other one means that the superior's receiver is gone."""


class RelayMedia:
    """Keeps relays and viewers' books in step with the media node."""

    def __init__(
        self, cascade: Cascade, ground: RelayGround, keeper: Keeper, runs: Mapping[str, Run]
    ) -> None:
        """``runs`` are those of the keeper, by id."""
        self._cascade = cascade
        self._ground = ground
        self._keeper = keeper
        self._runs = runs
        self._node = ground.history.node
        self._kept: OrderedDict[str, None] = OrderedDict()
        self.counters = keeper.counters

    def session_changed(self, session_id: str, channel_id: str) -> None:
        """A live session took a step."""
        if self._cascade.shares.any and session_id not in self._kept:
            self._keep(session_id, channel_id)
        for run in self._runs.values():
            if isinstance(run.source, LiveRelaySource) and run.source.session_id == session_id:
                run.source.nudge()

    def _keep(self, session_id: str, channel_id: str) -> None:
        """Keep the latest group of a stream that a superior may join: it need not wait for a key frame."""
        self._kept[session_id] = None
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if not self._cascade.is_shared(channel_id, SharedAction.LIVE):
            return
        try:
            self._node.keep_packets(session_id, True)
        except MediaError:  # an RTSP source opens its stream later, and is multiplexed from the cache anyway
            self.counters["group_not_kept"] += 1

    def on_media(self, event: MediaEvent) -> bool:
        """An event of the media node; False when it concerns no relay."""
        if isinstance(event, SenderConnected | SenderFirstPacket | SenderEnded):
            run = self._runs.get(event.sender_id)
            if run is not None:
                self._sender(run, event)
            return run is not None
        run = self._runs.get(getattr(event, "stream_id", ""))
        if run is None:
            return False
        self._past(run, event)
        return True

    def _sender(self, run: Run, event: SenderConnected | SenderFirstPacket | SenderEnded) -> None:
        if isinstance(event, SenderConnected):
            grant_id = "" if run.grant is None else run.grant.id
            joined = ViewerJoined(
                event.at, event.stream_id, run.shown.access_id, grant_id, "cascade", event.peer
            )
            self._viewer(run, joined)
        elif isinstance(event, SenderEnded):
            run.sending = False
            run.show(bytes_sent=event.bytes_sent)
            left = ViewerLeft(
                event.at,
                event.stream_id,
                event.access_id,
                event.grant_id,
                event.reason,
                event.bytes_sent,
                event.packets_sent,
                event.drops,
            )
            self._viewer(run, left)
            if run.over:
                self._keeper.forget(run)
            elif event.reason == "connection_lost":
                self._keeper.spawn(self._connection_lost(run))
            else:
                self._keeper.end(run, _ENDS.get(event.reason, RelayEnd.SUPERIOR_LOST), bye=True)

    async def _connection_lost(self, run: Run) -> None:
        """Many close the connection of the media first and say BYE then."""
        await asyncio.sleep(_BYE_FOLLOWS_S)
        self._keeper.end(run, RelayEnd.SUPERIOR_LOST, bye=True)

    def _viewer(self, run: Run, event: ViewerJoined | ViewerLeft) -> None:
        """A superior is a viewer like any other: to the live session, and to who keeps access records."""
        if isinstance(run.source, LiveRelaySource):
            self._ground.live.on_media(event)
            return
        names = (run.shown.id, run.shown.channel_id, event.access_id, event.at)
        if isinstance(event, ViewerJoined):
            self._ground.on_viewer(ViewerEvent(ViewerEventKind.JOINED, *names))
        else:
            counts = (event.bytes_sent, event.fragments, event.drops)
            self._ground.on_viewer(ViewerEvent(ViewerEventKind.LEFT, *names, event.reason, *counts))

    def _past(self, run: Run, event: MediaEvent) -> None:
        """What becomes of the stream of a playback or download."""
        match event:
            case StreamStalled() if not run.paused and not run.finished:
                self._keeper.end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case TcpFailed() if event.reason.startswith("connect_"):
                self._keeper.end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case StreamEnded() if event.reason != "closed":
                self._keeper.end(run, RelayEnd.SOURCE_FAILED, bye=True)
            case _:
                pass
