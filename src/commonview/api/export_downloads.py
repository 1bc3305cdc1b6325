"""Fetching exports, in whole or in part, as often as it takes: on the books, and under a grant that runs.

When the grant or the sign-in ends, what is under way is cut within one piece.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from commonview.api.endings import Endings
from commonview.recording import RecordingInvalid
from commonview.rendering import Exports, Piece
from commonview.security import AccessOutcome, Action, NotFound, OpenedAccess, SecurityService, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Sequence

    from commonview.api.export_desk import ExportDesk

PIECE: Final = 256 * 1024
_OPEN_EACH: Final = 8
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(slots=True)
class _Fetch:
    account_id: str
    grant_id: str
    sign_in: str | None
    sent: dict[str, int] = field(default_factory=dict)
    """Octets by access record."""
    outcome: AccessOutcome | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """Octets that may be fetched: of a package, or of one file."""

    key: str
    name: str
    media_type: str
    etag: str
    length: int
    pieces: Callable[[int, int], Iterable[Piece]]
    access_of: Callable[[Path | None], str]
    """Under which access record octets of a file go; those of no file go under the first."""


class ExportDownloads:
    """Gives exports out. All methods run on the event loop."""

    def __init__(self, security: SecurityService, desk: ExportDesk, exports: Exports) -> None:
        self._security = security
        self._desk = desk
        self._exports = exports
        self._fetches: dict[str, _Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings = Endings()
        self.counters: Counter[str] = Counter()

    async def fetch(
        self, subject: Subject, export_id: str, name: str | None, grant_id: str | None, asked: str
    ) -> Download:
        """A package, or the file ``name`` of it, under its own grant or another of one's own.

        Raises:
            ExportUnknown: not one's own, or not there (any more).
            SecurityError, StorageUnavailable: refused; the grant may have ended.
            RecordingInvalid: too many downloads at once.
        """
        export = self._desk.find(subject, export_id)
        package, etag, owners = self._exports.package(export)
        if sum(one.account_id == subject.account_id for one in self._fetches.values()) >= _OPEN_EACH:
            raise RecordingInvalid("too many downloads at once", code="too_many_downloads")
        file, path = (None, None) if name is None else self._exports.file(export, name)
        wanted = export.terms.channel_ids
        if file is not None and file.channel_id:
            wanted = (file.channel_id,)
        with self._endings.watched():
            accesses = await self._open(
                subject,
                wanted,
                grant_id or export.grant_id,
                {"export": export.id, "file": name or "", "range": asked[:64]},
            )
            by_channel = {one.record.channel_id: one.record.id for one in accesses}
            first = accesses[0].record.id
            self._fetches[first] = _Fetch(
                subject.account_id,
                accesses[0].grant.id,
                subject.session_id,
                dict.fromkeys(by_channel.values(), 0),
            )
            over = self._endings.of(accesses[0].grant.id, subject.session_id)
        if over is not None:
            self._end(first, over)
            raise NotFound("it was over before it began", kind="grant", id=accesses[0].grant.id)
        self.counters["fetched"] += 1

        def access_of(piece: Path | None) -> str:
            return first if piece is None else by_channel.get(owners.get(piece, ""), first)

        if file is not None and path is not None:
            kind = "video/mp4" if file.channel_id else "application/json"
            etag = f'"{file.sha256[:32]}"'

            def part(begin: int, end: int) -> list[Piece]:
                return [Piece(None, path, begin, end - begin)]

            return Download(first, file.name, kind, etag, file.bytes, part, access_of)
        filename = f"export_{export.created_at:%Y%m%dT%H%M%SZ}_{export.id[:8]}.zip"
        return Download(first, filename, "application/zip", etag, package.length, package.pieces, access_of)

    async def send(self, download: Download, begin: int, end: int) -> AsyncIterator[bytes]:
        """The octets, for as long as grant and sign-in last."""
        fetch = self._fetches[download.key]
        try:
            for piece in download.pieces(begin, end):
                async for content in _octets(piece):
                    if fetch.outcome is not None:
                        self.counters["cut"] += 1
                        return
                    fetch.sent[download.access_of(piece.path)] += len(content)
                    yield content
        finally:
            self._end(download.key, AccessOutcome.CLOSED)

    def unsent(self, download: Download) -> None:
        """Nothing of it is sent after all."""
        self._end(download.key, AccessOutcome.CLOSED)

    async def _open(
        self, subject: Subject, channel_ids: Sequence[str], grant_id: str, detail: dict[str, str | int]
    ) -> list[OpenedAccess]:
        return await to_thread.run_sync(
            lambda: self._security.open_accesses(
                subject, channel_ids, Action.EXPORT, grant_id=grant_id, protocol="download", detail=detail
            )
        )

    # -- ends

    def end_grant(self, grant_id: str, outcome: AccessOutcome) -> None:
        """A grant is over: what is fetched under it stops."""
        self._endings.note(grant_id, outcome)
        for key, fetch in list(self._fetches.items()):
            if fetch.grant_id == grant_id:
                self._end(key, outcome)

    def end_sessions(self, ended: Collection[str]) -> None:
        """Sign-ins are over, and the downloads with them."""
        for sign_in in ended:
            self._endings.note(sign_in, AccessOutcome.CLOSED)
        for key, fetch in list(self._fetches.items()):
            if fetch.sign_in in ended:
                self._end(key, AccessOutcome.CLOSED)

    def _end(self, key: str, outcome: AccessOutcome) -> None:
        fetch = self._fetches.pop(key, None)
        if fetch is None:
            return
        fetch.outcome = outcome
        for access_id, count in fetch.sent.items():
            self._keep(self._closed(access_id, outcome, count))

    async def _closed(self, access_id: str, outcome: AccessOutcome, count: int) -> None:
        await to_thread.run_sync(lambda: self._security.close_access(access_id, outcome, bytes_sent=count))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """The server stops: what is fetched is interrupted, and every record closed."""
        for key in list(self._fetches):
            self._end(key, AccessOutcome.INTERRUPTED)
        while self._tasks:
            await asyncio.wait(list(self._tasks))


def span_of(asked: str | None, condition: str | None, etag: str, length: int) -> tuple[int, int] | None:
    """The octets to send: the whole unless one range is asked for (RFC 9110 14.2) and what it was begun from
    is what is there (If-Range, 13.1.5). None when there is nothing in the range.
    """
    found = _RANGE.fullmatch(asked or "")
    if found is None or not any(found.groups()) or (condition is not None and condition != etag):
        return 0, length
    first, last = found.groups()
    if first:
        begin, end = int(first), min(int(last) + 1, length) if last else length
        if last and int(last) < int(first):
            return 0, length  # no range at all: ignored
    else:
        begin, end = max(0, length - int(last)), length
    return (begin, end) if begin < end else None


async def _octets(piece: Piece) -> AsyncIterator[bytes]:
    if piece.path is None:
        yield piece.content or b""
        return
    descriptor = await to_thread.run_sync(os.open, piece.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        at, end = piece.begin, piece.begin + piece.length
        while at < end:
            content = await to_thread.run_sync(os.pread, descriptor, min(PIECE, end - at), at)
            if not content:
                raise OSError(f"{piece.path.name} is shorter than it was")
            at += len(content)
            yield content
    finally:
        os.close(descriptor)
