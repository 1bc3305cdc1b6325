"""A catalogue synchronised and searched: `python -m bench.catalogue [--channels N] [--platforms N]`.

The pages are the bytes a platform sends (1,000 items each), read by the decoder and put together, stored,
placed and counted by the catalogue itself; only the sockets are left out. The floor of a synchronisation is
a plain INSERT of the same rows in the same batches and with the same durability, without any index; the floor
of a search is a scan of every name. Search and tree are asked beside the last platform's synchronisation, and
again while nothing else runs; times are of the whole call with its hop to a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.network.harness import until
from tests.network.tree.shelf import Shelf

from commonview.foundation import garbage
from commonview.foundation.database import Database, migrate
from commonview.network.aggregation import AggregationLimits
from commonview.network.directory import DeviceRecord
from commonview.network.messages import MessageDesk
from commonview.network.model import CatalogueState, ChannelStatus
from commonview.network.refusals import RefusalBook
from commonview.network.sip_endpoint import ServerTransaction
from commonview.network.tree import ChannelQuery, TreeView
from commonview.network.tree.rows import row_of
from commonview.wire.manscdp import Catalog, CatalogItem, encode
from commonview.wire.manscdp.xml import element
from commonview.wire.sip.message import SipRequest

PAGE = 1000
ROADS = "人民中山解放建设和平东风胜利新华北京南京上海长江黄河"
PLACES = ("路口", "东门", "西门", "大厅", "停车场", "电梯", "走廊", "广场", "地铁站", "高点")
WITHIN_MS = 100
_LATER = 987_654_321


def items_of(platform: int, cameras: int) -> list[CatalogItem]:
    """Organisations of fifty cameras each, as a city's platform lists them."""
    chance = random.Random(platform)
    found: list[CatalogItem] = []
    for number in range(cameras):
        organisation = f"3301{platform % 90:02d}00002160{number // 50:06d}"
        if number % 50 == 0:
            found.append(CatalogItem(device_id=organisation, name=f"组织{number // 50}"))
        road = chance.choice(ROADS) + chance.choice(ROADS)
        found.append(
            CatalogItem(
                device_id=f"3301{platform % 90:02d}0000132{number:07d}",
                name=f"{road}路{number % 977}号{chance.choice(PLACES)}枪机{number:06d}",
                manufacturer="Commonview",
                model="Bench",
                civil_code=f"3301{chance.randrange(2, 30):02d}",
                address=f"{road}路{number % 977}号",
                parent_ids=(organisation,),
                status="ON" if chance.random() < 0.95 else "OFF",
                longitude=120.0 + chance.random(),
                latitude=30.0 + chance.random(),
                extra=(element("Info", [element("PTZType", 3), element("Resolution", "6")]),),
            )
        )
    return found


def rss_mib() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


class Lag:
    """The longest the event loop was kept from its work: by the clock, and by work of its own thread, which
    other processes on the machine do not lengthen."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.worst_work = 0.0
        self.own_work = False  # making the bytes: a platform's work, not the server's

    async def watch(self) -> None:
        while True:
            began, worked, self.own_work = time.perf_counter(), time.thread_time(), False
            await asyncio.sleep(0.01)
            if not self.own_work:
                self.worst = max(self.worst, time.perf_counter() - began - 0.01)
                self.worst_work = max(self.worst_work, time.thread_time() - worked)


async def synchronise(
    shelf: Shelf, desk: MessageDesk, lag: Lag, record: DeviceRecord, platform: int, cameras: int
) -> float:
    """One whole catalogue; the seconds from the first page to the end, making the bytes not counted."""
    lag.own_work = True
    items = items_of(platform, cameras)
    total = len(items)
    bodies = []
    for start in range(0, total, PAGE):
        page = Catalog(
            sn=_LATER, device_id=record.id, sum_num=total, items=tuple(items[start : start + PAGE])
        )
        bodies.append(encode(page, "GB18030"))
        lag.own_work = True
        await asyncio.sleep(0)
    del items
    gc.collect()
    lag.own_work = True
    # Asked only now: making the bytes takes longer than an answer may.
    sn = (await shelf.ask(record)).key.sn
    bodies = [body.replace(b"<SN>%d</SN>" % _LATER, b"<SN>%d</SN>" % sn, 1) for body in bodies]
    began = time.perf_counter()
    for body in bodies:
        await desk._read_long(record, arrived(body))
    await until(lambda: record.catalogue.state is CatalogueState.COMPLETE, seconds=3600)
    return time.perf_counter() - began


def arrived(body: bytes) -> ServerTransaction:
    """A page as the endpoint hands it on."""
    request = SipRequest("MESSAGE", "sip:bench", body=body)
    transaction = SimpleNamespace(request=request, respond=lambda *_more: None)
    return cast(ServerTransaction, transaction)


def floor_insert(folder: Path, platforms: int, cameras: int) -> float:
    """Seconds for a plain INSERT of the same rows."""
    db = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    spent = 0.0
    for platform in range(platforms):
        rows = [row_of("x", item) for item in items_of(platform, cameras)]
        names = list(rows[0])
        if platform == 0:
            db.execute(f"CREATE TABLE c ({', '.join(names)})")
        statement = f"INSERT INTO c VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - our own words
        began = time.perf_counter()
        for start in range(0, len(rows), PAGE):
            db.execute("BEGIN")
            db.executemany(statement, [tuple(row.values()) for row in rows[start : start + PAGE]])
            db.execute("COMMIT")
        spent += time.perf_counter() - began
    db.close()
    return spent


def floor_search(path: Path) -> float:
    """Milliseconds to look at every name for something rare."""
    db = sqlite3.connect(path)
    began = time.perf_counter()
    db.execute("SELECT no FROM channels WHERE name LIKE '%枪机000123%' LIMIT 50").fetchall()
    spent = time.perf_counter() - began
    db.close()
    return spent * 1000


async def timed(name: str, ask: Callable[[], Awaitable[object]], times: int = 25) -> float:
    """Print the median and the worst of some calls; the worst in milliseconds."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        spent.append((time.perf_counter() - began) * 1000)
    print(f"  {name:34} median {statistics.median(spent):7.1f} ms   worst {max(spent):7.1f} ms")
    return max(spent)


Asks = dict[str, Callable[[], Awaitable[object]]]


def searches(shelf: Shelf, device_id: str) -> Asks:
    """Every kind of search."""
    queries = {
        "name, one character 东": ChannelQuery(text="东"),
        "name, one in every name 枪": ChannelQuery(text="枪"),
        "name, two characters 东门": ChannelQuery(text="东门"),
        "name, one camera": ChannelQuery(text="枪机001234"),
        "name, nothing": ChannelQuery(text="没有这个"),
        "name and status": ChannelQuery(text="停车场", status=ChannelStatus.OFF),
        "code, a whole id": ChannelQuery(code="33010000001320001234"),
        "code, a prefix": ChannelQuery(code="3301"),
        "status off": ChannelQuery(status=ChannelStatus.OFF),
        "region 330105": ChannelQuery(region="330105"),
        "one device": ChannelQuery(device_id=device_id),
    }
    return {
        name: lambda query=query: shelf.tree.search(query)  # type: ignore[misc]
        for name, query in queries.items()
    }


def nodes(shelf: Shelf, device_id: str, organisation: str) -> Asks:
    """Every kind of node of the tree."""
    places = (
        ("devices", TreeView.DEVICE, ""),
        ("organisations of a device", TreeView.DEVICE, device_id),
        ("cameras of an organisation", TreeView.DEVICE, organisation),
        ("regions of a city", TreeView.REGION, "3301"),
        ("cameras of a region", TreeView.REGION, "330105"),
    )
    return {
        f"tree: {name}": lambda view=view, parent=parent: shelf.tree.nodes(view, parent, "", 100)  # type: ignore[misc]
        for name, view, parent in places
    }


async def everything(shelf: Shelf, device_id: str) -> Asks:
    """Every kind of search and of node."""
    organisation = (await shelf.tree.nodes(TreeView.DEVICE, device_id, "", 2)).nodes[0]
    return searches(shelf, device_id) | nodes(shelf, device_id, organisation.id)


async def ask_beside(shelf: Shelf, device_id: str, spent: dict[str, list[float]]) -> None:
    """Ask one after the other, some times a second, while others write; runs until cancelled."""
    asks = await everything(shelf, device_id)
    while True:
        for name, ask in asks.items():
            began = time.perf_counter()
            await ask()
            spent.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)


def tell_beside(spent: dict[str, list[float]]) -> None:
    every = sorted(one for each in spent.values() for one in each) or [0.0]
    slowest = max(spent, key=lambda name: max(spent[name]), default="none")
    print(
        f"  beside a synchronisation: {len(every)} searches and nodes, "
        f"median {statistics.median(every):.1f} ms, 99 % within {every[int(len(every) * 0.99)]:.1f} ms, "
        f"worst {every[-1]:.1f} ms ({slowest})"
    )


async def run(channels: int, platforms: int) -> None:
    cameras = channels // platforms
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = Database.at(folder / "bench.sqlite")
        migrate(database)
        shelf = Shelf(database, AggregationLimits())  # those of a server
        shelf.catalogue.start()
        garbage.settle()  # as `commonview serve` does
        sys.setswitchinterval(0.0005)
        before = rss_mib()
        lag = Lag()
        watching = asyncio.create_task(lag.watch())
        desk = MessageDesk(
            shelf.directory,
            RefusalBook(),
            shelf.clock,
            on_back=lambda _record: None,
            on_changed=lambda _device_id: None,
            room=shelf.tree.writer.room,
        )
        desk.enter(Catalog, shelf.catalogue.on_catalog)
        records = [shelf.join(f"3301{platform % 90:02d}00002000000001") for platform in range(platforms)]
        first = 0.0
        beside: dict[str, list[float]] = {}
        for platform, record in enumerate(records):
            last = platform == platforms - 1 and platform > 0
            asking = asyncio.create_task(ask_beside(shelf, records[0].id, beside)) if last else None
            first += await synchronise(shelf, desk, lag, record, platform, cameras)
            if asking is not None:
                asking.cancel()
        again = await synchronise(shelf, desk, lag, records[0], 0, cameras)
        watching.cancel()
        gc.collect()
        floor = floor_insert(folder, platforms, cameras)
        size = (folder / "bench.sqlite").stat().st_size / 2**20
        print(f"{cameras * platforms} cameras of {platforms} platforms, in organisations of 50")
        print(f"  synchronised                       {first:7.1f} s   {channels / first:9.0f} items/s")
        print(f"  floor: INSERT of the same rows     {floor:7.1f} s   ratio {first / floor:.1f}")
        print(f"  one platform again, unchanged      {again:7.1f} s   {cameras / again:9.0f} items/s")
        print(f"  longest the loop was kept waiting  {lag.worst * 1000:7.1f} ms")
        print(f"  longest work of the loop's thread  {lag.worst_work * 1000:7.1f} ms")
        tell_beside(beside)
        print(f"  memory                             {rss_mib():7.0f} MiB (before: {before:.0f})")
        print(f"  database                           {size:7.0f} MiB")
        worst = 0.0
        for what, ask in (await everything(shelf, records[0].id)).items():
            worst = max(worst, await timed(what, ask))
        scan = floor_search(folder / "bench.sqlite")
        print(f"  floor: a scan of every name        {scan:7.1f} ms")
        print(
            f"  worst of all: {worst:.1f} ms, {'within' if worst <= WITHIN_MS else 'BEYOND'} {WITHIN_MS} ms"
        )
        began = time.perf_counter()
        await asyncio.to_thread(shelf.tree.load)
        print(f"  counted again, as at a start       {time.perf_counter() - began:7.1f} s")
        await shelf.catalogue.close()
        shelf.tree.close()
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=100_000)
    parser.add_argument("--platforms", type=int, default=10)
    given = parser.parse_args()
    asyncio.run(run(given.channels, given.platforms))


if __name__ == "__main__":
    main()
