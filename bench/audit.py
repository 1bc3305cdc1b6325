"""What accountability costs: decisions, audit entries, the opening of a live view, and checking the log.

    python -m bench.audit [--entries N]

Every figure stands beside a floor of the same run: SHA-256 of the same bytes for what only computes (counted
in CPU seconds), a bare SQLite commit of the same durability (WAL, synchronous=FULL) for what must be on disk
before it is answered (counted in seconds on the clock).
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from commonview.foundation.bus import Bus
from commonview.foundation.clock import SystemClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.security import (
    Account,
    Action,
    HeldGrant,
    NewAccount,
    Resource,
    SecurityService,
    Subject,
    decide,
)
from commonview.security.merkle import Frontier, leaf_hash
from commonview.security.passwords import Passwords
from commonview.security.verify import verify_audit

GROUP = 100
LEAF = b'{"action":"access.opened","actor":{"address":"10.0.0.7","id":"x","name":"olga"},"n":%d}' + b" " * 160


def per_second(
    work: Callable[[int], object], clock: Callable[[], float] = time.process_time, *, batch: int = 100
) -> float:
    """Rounds a second of `work(i)` by `clock`, over about one second; the clock is read once a batch."""
    start = clock()
    rounds = 0
    while (passed := clock() - start) < 1:
        for _ in range(batch):
            work(rounds)
            rounds += 1
    return rounds / passed


def durable_per_second(work: Callable[[int], object]) -> float:
    """Rounds a second on the clock of what waits for the disk."""
    return per_second(work, time.perf_counter, batch=1)


def line(what: str, figure: float, floor: float, floor_name: str) -> None:
    print(f"{what:<44} {figure:>12,.0f} /s   {floor / figure:>8.2f} x the cost of {floor_name}")


def subject_of(account: Account) -> Subject:
    return Subject(account.id, account.username, account.display_name, account.roles)


def open_room(folder: Path) -> tuple[SecurityService, Database, DataDirectory]:
    data = DataDirectory(folder / "data")
    data.prepare()
    db = Database.at(data.database)
    migrate(db)
    service = SecurityService.open(
        db=db,
        clock=SystemClock(),
        bus=Bus(),
        data=data,
        settings=Settings(data_dir=data.root),
        passwords=Passwords(memory_kib=64, passes=1, lanes=1),
    )
    return service, db, data


def first_accounts(service: SecurityService) -> tuple[Subject, str]:
    link = service.setup_link("http://127.0.0.1")
    if link is None:
        raise RuntimeError("the room is set up already")
    _, operator = service.set_up(
        link.partition("token=")[2],
        NewAccount("admin", "Ada", "green bicycle 41"),
        operator=NewAccount("olga", "Olga", "quiet harbour 72"),
    )
    who = subject_of(operator)
    return who, service.purposes(who)[0].id


def bare_commits_per_second(folder: Path) -> float:
    """The floor of everything durable: one row of the same size, one commit."""
    connection = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, leaf BLOB)")

    def commit(i: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (leaf) VALUES (?)", (LEAF % i,))
        connection.execute("COMMIT")

    figure = durable_per_second(commit)
    connection.close()
    return figure


def bench_pure(service: SecurityService, who: Subject, purpose_id: str) -> None:
    sha = per_second(lambda i: hashlib.sha256(b"\x00" + LEAF % i).digest())
    tree = Frontier()
    line(
        "leaves appended to the tree",
        per_second(lambda i: tree.append(leaf_hash(LEAF % i))),
        sha,
        "one SHA-256",
    )
    grant = service.request_grant(
        who, channel_ids=[f"c{i}" for i in range(16)], purpose_id=purpose_id, reason="bench"
    )
    purpose = service.purposes(who)[0]
    now = grant.starts_at + timedelta(seconds=1)
    held = [HeldGrant(grant, purpose)] * 10
    there = Resource("c3")
    line(
        "decide(), allowed",
        per_second(lambda _: decide(who, Action.LIVE_VIEW, there, now, held)),
        sha,
        "one SHA-256",
    )
    elsewhere = Resource("c99")
    asked = per_second(lambda _: decide(who, Action.LIVE_VIEW, elsewhere, now, held))
    line("decide(), refused by each of ten grants", asked, sha, "one SHA-256")


def bench_durable(
    service: SecurityService, db: Database, who: Subject, purpose_id: str, commit: float
) -> None:
    alone = durable_per_second(lambda i: service.record(who, "bench.done", f"thing:{i}", "ok"))
    line("audit entries, each durable by itself", alone, commit, "one commit")

    def group(i: int) -> None:
        with db.begin() as conn:
            for n in range(GROUP):
                service.audit.append(conn, who, "bench.done", f"thing:{i}-{n}", "ok")

    line(f"audit entries, {GROUP} to a commit", durable_per_second(group) * GROUP, commit, "one commit")
    opened = durable_per_second(
        lambda _: service.open_live(who, "c3", purpose_id=purpose_id, reason="bench", duration_s=600)
    )
    line("open_live: grant, record, two entries", opened, commit, "one commit")


def bench_signing(
    service: SecurityService, db: Database, data: DataDirectory, who: Subject, entries: int
) -> None:
    written = 0
    while written < entries:
        with db.begin() as conn:
            for _ in range(1000):
                service.audit.append(conn, who, "bench.done", f"thing:{written}", "ok")
        written += 1000
    start = time.process_time()
    checkpoint = service.audit.checkpoint()
    passed = time.process_time() - start
    if checkpoint is None:
        raise RuntimeError("nothing was signed")
    sha = per_second(lambda i: hashlib.sha256(b"\x00" + LEAF % i).digest())
    line("entries signed and written as tiles", checkpoint.size / passed, sha, "one SHA-256")
    start = time.process_time()
    report = verify_audit(data.audit, database=data.database)
    passed = time.process_time() - start
    if not report.ok:
        raise RuntimeError(f"the log does not verify: {report.findings[0].message}")
    line("entries verified, files and database", report.size / passed, sha, "one SHA-256")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=20_000, help="entries to sign and verify")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commonview-bench-") as name:
        folder = Path(name)
        commit = bare_commits_per_second(folder)
        print(f"floor: a bare SQLite commit on this disk   {commit:>12,.0f} /s")
        service, db, data = open_room(folder)
        who, purpose_id = first_accounts(service)
        bench_pure(service, who, purpose_id)
        bench_durable(service, db, who, purpose_id, commit)
        bench_signing(service, db, data, who, arguments.entries)
        db.close()


if __name__ == "__main__":
    main()
