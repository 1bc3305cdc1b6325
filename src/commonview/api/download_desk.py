"""Taking recordings away: who, why, which span, until the file is gone.

The export is on the books before the device is asked. When the grant it stands on ends, what still runs is
stopped, and a finished file is given out only under a running grant for export.
"""

import asyncio
from datetime import datetime

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.api.looks import Wish, open_wish, span_detail
from commonview.network import NetworkService
from commonview.network.history import Download, DownloadState
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

_OUTCOMES = {
    DownloadState.FINISHED: AccessOutcome.CLOSED,
    DownloadState.SHORT: AccessOutcome.CLOSED,
    DownloadState.CANCELLED: AccessOutcome.CLOSED,
    DownloadState.FAILED: AccessOutcome.FAILED,
}


class DownloadDesk:
    """Opens and closes exports. All methods run on the event loop."""

    def __init__(self, security: SecurityService, network: NetworkService) -> None:
        self._security = security
        self._network = network
        self._over: dict[str, AccessOutcome] = {}  # grants that ended while a download ran under them
        self._grants: dict[str, str] = {}  # of running downloads, by access
        self._closing: set[asyncio.Task[None]] = set()
        self._endings = Endings()

    async def open(
        self, subject: Subject, wish: Wish, start: datetime, end: datetime, speed: int
    ) -> tuple[OpenedAccess, Download]:
        """Grant, record, download: in this order; the device is asked in the background.

        Raises:
            ChannelUnknown: before anything is written.
            SecurityError, StorageUnavailable: refused; nothing was written and no device was asked.
            DownloadInvalid, DownloadsBusy: the record is closed as failed.
            NotFound: the grant ended in that moment; no device was asked.
        """
        self._network.channel(wish.channel_id)
        detail: dict[str, str | int] = {**span_detail(start, end), "speed": speed}
        with self._endings.watched():
            access = await open_wish(self._security, subject, wish, Action.EXPORT, "download", detail)
            access_id = access.record.id
            self._grants[access_id] = access.grant.id
            ended = self._endings.of(access.grant.id)
        if ended is not None:
            self._close(access_id, ended, 0)
            raise NotFound("it was over before it began", kind="access_record", id=access_id)
        try:
            download = self._network.history.start_download(
                wish.channel_id,
                start,
                end,
                speed=speed,
                access_id=access_id,
                grant_id=access.grant.id,
                user=subject.username,
            )
        except BaseException:
            self._close(access_id, AccessOutcome.FAILED, 0)
            raise
        return access, download

    def end_grant(self, grant_id: str, outcome: AccessOutcome) -> None:
        """A grant is over: what runs under it stops."""
        self._endings.note(grant_id, outcome)
        if grant_id in self._grants.values():
            self._over[grant_id] = outcome
            self._network.history.cut_grant(grant_id)

    def on_ended(self, download: Download) -> None:
        """A download is over; given to the network room as its listener."""
        outcome = _OUTCOMES[download.state]
        if download.state is DownloadState.CANCELLED:
            outcome = self._over.get(self._grants.get(download.access_id, ""), outcome)
        self._close(download.access_id, outcome, download.received_bytes)

    def _close(self, access_id: str, outcome: AccessOutcome, bytes_sent: int) -> None:
        grant_id = self._grants.pop(access_id, None)
        if grant_id is not None and grant_id not in self._grants.values():
            self._over.pop(grant_id, None)
        work = to_thread.run_sync(
            lambda: self._security.close_access(access_id, outcome, bytes_sent=bytes_sent)
        )
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def drain(self) -> None:
        """Wait until every record that is being closed is closed."""
        while self._closing:
            await asyncio.wait(list(self._closing))
