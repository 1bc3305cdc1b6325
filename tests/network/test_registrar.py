from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from commonview.foundation.clock import FakeClock
from commonview.foundation.database import Database, migrate
from commonview.network import store
from commonview.network.directory import Directory
from commonview.network.model import ProblemCode, RefusalReason
from commonview.network.registrar import Registrar, RegistrarSettings, vault_context
from commonview.security.secrets import Vault
from tests.network.exchange import DEVICE, DOMAIN, PASSWORD, RecordedTransaction, credentials, register, udp
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Office:
    """A registrar with a real database under it."""

    def __init__(self, path: Path) -> None:
        self.database = Database.at(path / "test.sqlite")
        migrate(self.database)
        self.clock = FakeClock()
        self.directory = Directory(silence_s=180)
        self.vault = Vault([bytes(32)])
        self.registered: list[tuple[str, bool]] = []
        self.changed: list[str] = []
        self.registrar = Registrar(
            RegistrarSettings(DOMAIN, PASSWORD),
            self.directory,
            self.database,
            self.vault,
            self.clock,
            on_registered=lambda record, newcomer: self.registered.append((record.id, newcomer)),
            on_changed=self.changed.append,
        )

    async def receive(self, transaction: RecordedTransaction) -> RecordedTransaction:
        self.registrar.on_register(transaction.as_transaction())
        await until(lambda: transaction.answers)
        return transaction

    async def challenge(self, **request: object) -> str:
        transaction = await self.receive(register(**request))  # type: ignore[arg-type]
        assert transaction.answer.status == 401
        return transaction.answer.headers["WWW-Authenticate"]

    async def join(self, *, password: str = PASSWORD, **request: object) -> RecordedTransaction:
        challenge = await self.challenge(flow=request.get("flow"))
        authorization = credentials(challenge, password=password)
        return await self.receive(register(authorization=authorization, **request))  # type: ignore[arg-type]

    def rows(self) -> list[tuple[object, ...]]:
        with self.database.read() as conn:
            return [
                tuple(row) for row in conn.execute(text("SELECT id, host, port, expires_at FROM devices"))
            ]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    await office.registrar.close()
    office.database.close()


async def test_register_without_credentials_is_challenged(office: Office) -> None:
    answer = (await office.receive(register())).answer
    assert answer.status == 401
    assert answer.headers["X-GB-Ver"] == "3.0"
    assert answer.headers["WWW-Authenticate"].startswith(f'Digest realm="{DOMAIN}", nonce="')
    assert office.rows() == []


async def test_register_with_the_password_is_durable_before_it_is_answered(office: Office) -> None:
    seen: list[int] = []
    authorization = credentials(await office.challenge())
    transaction = register(authorization=authorization)
    respond = transaction.respond

    def watching(*args: object, **kwargs: object) -> None:
        seen.append(len(office.rows()))
        respond(*args, **kwargs)  # type: ignore[arg-type]

    transaction.respond = watching  # type: ignore[method-assign]
    answer = (await office.receive(transaction)).answer
    assert (answer.status, seen) == (200, [1])


async def test_answer_to_a_registration_carries_date_version_expiry_and_contact(office: Office) -> None:
    answer = (await office.join(expires=600)).answer
    assert answer.headers == {
        "Date": "2026-01-01T08:00:00.000",
        "X-GB-Ver": "3.0",
        "Expires": "600",
        "Contact": f"<sip:{DEVICE}@192.0.2.10:5060>",
    }
    assert office.registered == [(DEVICE, True)]


@pytest.mark.trap(12)
async def test_renewal_is_challenged_too_and_is_no_newcomer(office: Office) -> None:
    await office.join()
    await office.join()
    assert office.registered == [(DEVICE, True), (DEVICE, False)]
    assert office.registrar.counters["register_challenged"] == 2


@pytest.mark.trap(12)
async def test_unregistering_is_challenged_too(office: Office) -> None:
    await office.join()
    await office.challenge(expires=0)
    record = office.directory.get(DEVICE)
    assert record is not None
    assert record.online
    answer = (await office.join(expires=0)).answer
    assert (answer.status, record.online) == (200, False)
    assert "Contact" not in answer.headers
    assert office.rows()[0][3] is None


async def test_register_with_reused_nonce_is_challenged_again(office: Office) -> None:
    authorization = credentials(await office.challenge())
    assert (await office.receive(register(authorization=authorization))).answer.status == 200
    again = (await office.receive(register(authorization=authorization))).answer
    assert again.status == 401
    assert "stale=true" in again.headers["WWW-Authenticate"]


async def test_register_with_an_expired_or_foreign_nonce_is_challenged_again(office: Office) -> None:
    challenge = await office.challenge()
    office.clock.advance(61)
    assert (await office.receive(register(authorization=credentials(challenge)))).answer.status == 401
    foreign = f'Digest realm="{DOMAIN}", nonce="0123456789abcdef"'
    assert (await office.receive(register(authorization=credentials(foreign)))).answer.status == 401


async def test_wrong_password_is_refused_remembered_and_binds_nothing(office: Office) -> None:
    answer = (await office.join(password="guess")).answer
    assert answer.status == 403
    (line,) = office.registrar.refusals.lines()
    assert (line.device_id, line.reason) == (DEVICE, RefusalReason.WRONG_PASSWORD)
    assert office.directory.get(DEVICE) is None
    assert office.rows() == []


async def test_known_absent_device_with_a_wrong_password_is_shown_as_a_problem(office: Office) -> None:
    await office.join()
    await office.join(expires=0)
    await office.join(password="guess")
    await office.join(password="guess")
    record = office.directory.get(DEVICE)
    assert record is not None
    assert record.problems[ProblemCode.WRONG_PASSWORD].params == {"address": "192.0.2.10:5060", "count": 2}
    await office.join()
    assert record.problems == {}


async def test_stranger_guessing_at_a_present_device_does_not_mark_it(office: Office) -> None:
    await office.join()
    await office.join(password="guess", flow=udp("192.0.2.66"))
    record = office.directory.get(DEVICE)
    assert record is not None
    assert record.problems == {}
    assert record.peer == ("192.0.2.10", 5060)


async def test_eleventh_guess_in_a_minute_is_not_even_tried(office: Office) -> None:
    for _ in range(10):
        await office.join(password="guess")
    assert (await office.join()).answer.status == 403
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.TOO_MANY_FAILURES
    office.clock.advance(60)
    assert (await office.join()).answer.status == 200


async def test_device_with_a_password_of_its_own_is_not_let_in_with_the_common_one(office: Office) -> None:
    await office.join()
    record = office.directory.get(DEVICE)
    assert record is not None
    record.password_sealed = office.vault.seal(b"its own", vault_context(DEVICE))
    record.ha1 = None
    assert (await office.join()).answer.status == 403
    assert (await office.join(password="its own")).answer.status == 200


@pytest.mark.parametrize(
    "authorization",
    ["Digest", "Digest username=", 'Digest username="x", realm="y"', "Basic eDp5", "Digest " + "x" * 9000],
)
@pytest.mark.trap(6)
async def test_damaged_credentials_are_answered_400_and_remembered(
    office: Office, authorization: str
) -> None:
    assert (await office.receive(register(authorization=authorization))).answer.status == 400
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.MALFORMED_CREDENTIALS


async def test_registering_somebody_else_is_refused(office: Office) -> None:
    other = "<sip:34020000001110000002@3402000000>;tag=1"
    assert (await office.receive(register(From=other))).answer.status == 403
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.OTHER_IDENTITY


async def test_full_disk_refuses_the_registration_and_changes_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from commonview.foundation.errors import StorageUnavailable

    def full(*_: object) -> None:
        raise StorageUnavailable("the disk is full", code="storage_full")

    monkeypatch.setattr(store, "save_registrations", full)
    assert (await office.join()).answer.status == 503
    assert office.directory.get(DEVICE) is None
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.STORAGE_UNAVAILABLE
    monkeypatch.undo()
    assert (await office.join()).answer.status == 200


async def test_registrations_survive_a_restart(office: Office) -> None:
    await office.join(expires=600)
    with office.database.read() as conn:
        (record,) = store.load(conn)
    assert (record.id, record.peer) == (DEVICE, ("192.0.2.10", 5060))
    assert record.registered_at == office.clock.now()
    assert record.gb_version == "3.0"


@pytest.mark.trap(13)
async def test_many_registrations_share_few_transactions(office: Office) -> None:
    transactions = []
    for number in range(200):
        device_id = f"340200000011100{number:05d}"
        challenge = (await office.receive(register(device_id=device_id))).answer.headers["WWW-Authenticate"]
        authorization = credentials(challenge, device_id=device_id)
        transactions.append(register(device_id=device_id, authorization=authorization))
    begin = office.database.begin
    begun: list[int] = []

    def counting() -> object:
        begun.append(1)
        return begin()

    office.database.begin = counting  # type: ignore[method-assign, assignment]
    for transaction in transactions:
        office.registrar.on_register(transaction.as_transaction())
    await until(lambda: all(transaction.answers for transaction in transactions))
    assert {transaction.answer.status for transaction in transactions} == {200}
    assert len(begun) < 50
    assert len(office.rows()) == 200


async def test_user_agent_in_a_chinese_charset_is_no_obstacle_to_be_stored(office: Office) -> None:
    agent = "海康威视".encode("gbk").decode("utf-8", "surrogateescape")
    assert (await office.join(**{"User-Agent": agent})).answer.status == 200
    with office.database.read() as conn:
        (record,) = store.load(conn)
    assert record.user_agent == "海康威视"


async def test_fault_with_one_registration_leaves_the_others_of_its_batch_their_answers(
    office: Office,
) -> None:
    authorizations = [credentials(await office.challenge()) for _ in range(2)]
    first, second = (register(authorization=authorization) for authorization in authorizations)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("the value of Contact would break the line")

    first.respond = broken  # type: ignore[method-assign]
    office.registrar.on_register(first.as_transaction())
    assert (await office.receive(second)).answer.status == 200
    assert office.registrar.counters["register_fault"] == 1


async def test_nonce_given_to_one_address_is_no_use_to_another(office: Office) -> None:
    # Else ten wrong guesses under a false sender address would lock a camera out for a minute.
    for _ in range(20):
        authorization = credentials(await office.challenge(), password="guess")
        forged = await office.receive(register(udp("192.0.2.66"), authorization=authorization))
        assert forged.answer.status == 401
    assert (await office.join(flow=udp("192.0.2.66"))).answer.status == 200
