"""Groups of recordings as H.264, under a look that is open, for who cannot decode what was recorded.

The promise is that of the recording itself: the look is asked before and behind, and what is made for one
that ends, or for a request that nobody waits for any more, is dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from commonview.recording import RecordingUnknown
from commonview.rendering import RecordedGroup, RenderBusy
from commonview.security import NotFound

if TYPE_CHECKING:
    from commonview.api.recorded_desk import RecordedDesk
    from commonview.rendering import RecodedGroup, Recoder
    from commonview.security import Subject

_EACH: Final = 16
"""Groups of one account under way: one for each camera that a page plays."""


class RecodedDesk:
    """Makes groups under looks. All methods run on the event loop."""

    def __init__(self, recorded: RecordedDesk, recoder: Recoder) -> None:
        self._recorded = recorded
        self._recoder = recoder
        self._under_way: defaultdict[str, set[asyncio.Task[RecodedGroup]]] = defaultdict(set)
        self._accounts: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        recorded.follow_ends(self._over)

    async def group(
        self,
        subject: Subject,
        access_id: str,
        stream_number: int,
        sequence: int,
        number: int,
        width: int,
        *,
        key_only: bool,
    ) -> RecodedGroup:
        """A group by its place in the index of its segment. Cancelling this drops the work.

        Raises:
            NotFound: no such look of one's own, or it is over.
            RecordingUnknown: no such segment in it, no such group, or it cannot be read.
            RenderBusy: too much is under way.
            RenderError.
        """
        part = await self._recorded.part(subject, access_id, stream_number, sequence, "bytes=0-0")
        contents = (await self._recorded.index(subject, access_id, stream_number, sequence)).contents
        groups = contents.groups
        if number >= len(groups):
            raise RecordingUnknown("there is no such group of pictures", code="group_unknown")
        group, following = groups[number], groups[number + 1 : number + 2]
        lasts_us = max(0, following[0].begin_us - group.begin_us) if following else 0
        meant = RecordedGroup(part.path, contents.head.init_bytes, group.offset, group.bytes, lasts_us)
        made = await self._made(subject, access_id, meant, width, key_only=key_only)
        try:
            self._recorded.shown(subject, access_id, len(made.content))
        except NotFound:
            self._recoder.forget(access_id)
            raise
        self.counters["groups"] += 1
        return made

    async def _made(
        self, subject: Subject, access_id: str, meant: RecordedGroup, width: int, *, key_only: bool
    ) -> RecodedGroup:
        if self._accounts[subject.account_id] >= _EACH:
            self.counters["refused"] += 1
            raise RenderBusy("too many groups are transcoded for this account", code="recode_quota_reached")
        work = self._recoder.group(access_id, meant, width, key_only=key_only)
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[access_id].add(task)
        self._accounts[subject.account_id] += 1
        try:
            return await task
        except asyncio.CancelledError:
            self.counters["dropped"] += 1
            asking = asyncio.current_task()
            if asking is not None and asking.cancelling():
                raise
            raise NotFound("it was over before it was there", kind="access_record", id=access_id) from None
        finally:
            self._accounts -= Counter({subject.account_id: 1})  # drops those at zero
            self._under_way[access_id].discard(task)
            if not self._under_way[access_id]:
                del self._under_way[access_id]

    def _over(self, access_id: str) -> None:
        for task in self._under_way.get(access_id, ()):
            task.cancel()
        self._recoder.forget(access_id)

    async def drain(self) -> None:
        """The server stops: nothing is made any more."""
        under_way = [task for tasks in self._under_way.values() for task in tasks]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
