"""A whole security room on a real database in a temporary folder, with a clock that obeys."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from commonview.foundation.bus import Bus
from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database, migrate
from commonview.foundation.datadir import DataDirectory
from commonview.foundation.settings import Settings
from commonview.security import Account, NewAccount, Role, SecurityService, Subject
from commonview.security.passwords import Passwords

FAST = Passwords(memory_kib=64, passes=1, lanes=1)
"""Argon2id at the lowest cost: the cost itself is tested in test_passwords."""

ADMIN_PASSWORD = "green bicycle 41"
OPERATOR_PASSWORD = "quiet harbour 72"
SUPERVISOR_PASSWORD = "paper lantern 93"


class RecordingBus(Bus):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, object]] = []

    def publish(self, topic: str, payload: object = None) -> None:
        self.events.append((topic, payload))


@dataclass
class Office:
    root: Path
    clock: FakeClock
    bus: RecordingBus
    data: DataDirectory
    db: Database
    service: SecurityService

    def reopen(self) -> SecurityService:
        """What a restart does; the old service is simply gone, as after a crash."""
        self.service = open_service(self.db, self.clock, self.bus, self.data)
        return self.service


def open_service(
    db: Database, clock: FakeClock, bus: RecordingBus, data: DataDirectory, **settings: int
) -> SecurityService:
    return SecurityService.open(
        db=db,
        clock=clock,
        bus=bus,
        data=data,
        settings=Settings(data_dir=data.root, **settings),
        passwords=FAST,
    )


def make_office(root: Path) -> Office:
    data = DataDirectory(root / "data")
    data.prepare()
    db = Database.at(data.database)
    migrate(db)
    clock, bus = FakeClock(), RecordingBus()
    return Office(root, clock, bus, data, db, open_service(db, clock, bus, data))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Before the set-up: no account exists."""
    made = make_office(tmp_path)
    yield made
    made.db.close()


@dataclass
class Staff:
    admin: Subject
    operator: Subject
    supervisor: Subject


def subject_for(account: Account) -> Subject:
    return Subject(
        account.id, account.username, account.display_name, account.roles, client_address="10.0.0.7"
    )


def set_up(office: Office) -> Staff:
    link = office.service.setup_link("http://127.0.0.1:8000")
    assert link is not None
    admin, operator, supervisor = office.service.set_up(
        link.partition("token=")[2],
        NewAccount("admin", "Ada Admin", ADMIN_PASSWORD),
        operator=NewAccount("olga", "Olga Operator", OPERATOR_PASSWORD),
        supervisor=NewAccount("sven", "Sven Supervisor", SUPERVISOR_PASSWORD),
    )
    return Staff(subject_for(admin), subject_for(operator), subject_for(supervisor))


@pytest.fixture
def staff(office: Office) -> Staff:
    """The first three accounts."""
    return set_up(office)


def add_account(office: Office, staff: Staff, username: str, *roles: Role) -> Subject:
    new = NewAccount(username, username.title(), f"{username} owns a kite 5", frozenset(roles))
    return subject_for(office.service.create_account(staff.admin, new))


def audit_actions(office: Office) -> list[str]:
    """Every action in the audit log, oldest first."""
    with office.db.read() as conn:
        return [entry.action for entry in reversed(office.service.audit.entries(conn, None, 10_000))]
