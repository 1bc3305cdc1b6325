"""Who may register before and beside the password, with which digest, and where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commonview.network.model import RefusalReason
from commonview.network.redirection import REDIRECT_EXPIRES_S, Redirections
from commonview.network.registrar import Admission, RegistrarSettings
from commonview.wire.sip.digest import Challenge, DigestPolicy
from tests.network.exchange import DEVICE, DOMAIN, PASSWORD, RecordedTransaction, credentials, register
from tests.network.test_registrar import Office

pytestmark = pytest.mark.anyio


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    await office.registrar.close()
    office.database.close()


class ManyHeaders(RecordedTransaction):
    """Keeps the headers that a dict would lose."""

    def respond(self, status, reason=None, headers=(), body=b"") -> None:  # type: ignore[no-untyped-def]
        pairs = list(headers)
        self.challenges = [value for name, value in pairs if name == "WWW-Authenticate"]
        super().respond(status, reason, pairs, body)


async def challenges(office: Office, device_id: str = DEVICE) -> list[Challenge]:
    plain = register(device_id=device_id)
    transaction = ManyHeaders(plain.request, plain.flow)
    await office.receive(transaction)
    return [Challenge.parse(value) for value in transaction.challenges]


def offering(office: Office, policy: DigestPolicy) -> None:
    office.registrar._settings = RegistrarSettings(DOMAIN, PASSWORD, policy)


@pytest.mark.parametrize("qop", [False, True])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SM3"])
async def test_a_device_registers_with_whatever_digest_is_offered(
    office: Office, algorithm: str, qop: bool
) -> None:
    offering(office, DigestPolicy((algorithm,), qop))
    assert (await office.join()).answer.status == 200
    assert (await office.join()).answer.status == 200, "renewals use the same"
    assert (await office.join(password="guess")).answer.status == 403


async def test_several_algorithms_are_offered_in_their_order(office: Office) -> None:
    offering(office, DigestPolicy(("SM3", "SHA-256", "MD5")))
    offered = await challenges(office)
    assert [one.algorithm for one in offered] == ["SM3", "SHA-256", "MD5"]
    for one in offered:
        authorization = credentials((await challenges(office))[offered.index(one)].encode())
        assert (await office.receive(register(authorization=authorization))).answer.status == 200


async def test_an_algorithm_that_was_not_offered_is_challenged_again(office: Office) -> None:
    offering(office, DigestPolicy(("SM3",)))
    [offered] = await challenges(office)
    weaker = credentials(Challenge(offered.realm, offered.nonce).encode())
    assert (await office.receive(register(authorization=weaker))).answer.status == 401
    assert office.directory.get(DEVICE) is None


async def test_a_device_may_have_a_digest_policy_of_its_own(office: Office) -> None:
    offering(office, DigestPolicy(("SM3", "MD5"), qop=True))
    office.registrar._digest_of = lambda device_id: DigestPolicy() if device_id == DEVICE else None
    assert [(one.algorithm, one.qop) for one in await challenges(office)] == [("MD5", "")]
    assert len(await challenges(office, "34020000001110000009")) == 2
    assert (await office.join()).answer.status == 200


async def test_who_is_banned_is_not_even_challenged(office: Office) -> None:
    asked: list[tuple[str, str]] = []

    def admit(device_id: str, host: str, user_agent: str) -> Admission:
        asked.append((device_id, host))
        return Admission.REFUSE

    office.registrar._admit = admit
    answer = (await office.receive(register())).answer
    assert (answer.status, answer.headers["X-GB-Ver"]) == (403, "3.0")
    assert asked == [(DEVICE, "192.0.2.10")]
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.BANNED


async def test_a_device_in_quarantine_proves_its_password_and_waits(office: Office) -> None:
    office.registrar._admit = lambda device_id, host, user_agent: Admission.QUARANTINE
    assert (await office.join(password="guess")).answer.status == 403
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.WRONG_PASSWORD
    assert (await office.join()).answer.status == 403
    assert office.registrar.refusals.lines()[0].reason is RefusalReason.QUARANTINED
    assert office.directory.get(DEVICE) is None
    office.registrar._admit = lambda device_id, host, user_agent: Admission.ALLOW
    assert (await office.join()).answer.status == 200


async def test_a_device_is_sent_to_another_server_once_it_is_known(office: Office) -> None:
    rules = Redirections.parse("340200000011=34020000002000000002@192.0.2.20:5060")
    office.registrar._settings = RegistrarSettings(DOMAIN, PASSWORD, redirections=rules)
    answer = (await office.join()).answer
    assert (answer.status, answer.headers) == (
        302,
        {
            "Contact": "<sip:34020000002000000002@192.0.2.20:5060>",
            "Expires": str(REDIRECT_EXPIRES_S),
            "X-GB-Ver": "3.0",
        },
    )
    assert office.rows() == []
    assert (await office.join(expires=0)).answer.status == 200, "who leaves is not sent away"


async def test_every_answer_says_our_version(office: Office) -> None:
    answers = [
        (await office.receive(register())).answer,
        (await office.join(password="guess")).answer,
        (await office.receive(register(authorization="Digest"))).answer,
        (await office.receive(register(From="<sip:34020000001110000002@3402000000>;tag=1"))).answer,
        (await office.receive(register(Expires="soon"))).answer,
        (await office.join()).answer,
    ]
    assert [answer.status for answer in answers] == [401, 403, 400, 403, 400, 200]
    assert {answer.headers["X-GB-Ver"] for answer in answers} == {"3.0"}
