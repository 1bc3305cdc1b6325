from datetime import UTC, datetime, timedelta

import pytest

from commonview.network.admission import AdmissionInvalid, Rule, RuleEffect, RuleSubject
from commonview.network.admission.rulebook import RuleBook, checked_value

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEVICE = "34020000001110000001"


def book(*given: tuple[RuleEffect, RuleSubject, str], ends_at: datetime | None = None) -> RuleBook:
    made = RuleBook()
    for number, (effect, subject, value) in enumerate(given):
        made.put(Rule(str(number), effect, subject, checked_value(subject, value), "", "", NOW, ends_at))
    return made


@pytest.mark.parametrize(
    ("subject", "value", "banned", "free"),
    [
        (RuleSubject.DEVICE, DEVICE, (DEVICE, "192.0.2.1", ""), ("other", "192.0.2.1", "")),
        (RuleSubject.HOST, "192.0.2.1", (DEVICE, "192.0.2.1", ""), (DEVICE, "192.0.2.2", "")),
        (RuleSubject.NETWORK, "192.0.2.77/24", (DEVICE, "192.0.2.1", ""), (DEVICE, "198.51.100.1", "")),
        (RuleSubject.NETWORK, "2001:db8::/32", (DEVICE, "2001:db8::1", ""), (DEVICE, "192.0.2.1", "")),
        (
            RuleSubject.USER_AGENT,
            "Scanner",
            (DEVICE, "192.0.2.1", "friendly-scanner 1"),
            (DEVICE, "h", "cam"),
        ),
    ],
)
def test_a_ban_meets_whom_it_names_and_nobody_else(
    subject: RuleSubject, value: str, banned: tuple[str, str, str], free: tuple[str, str, str]
) -> None:
    rules = book((RuleEffect.BAN, subject, value))
    assert rules.verdict(*banned, NOW) is not None
    assert rules.verdict(*free, NOW) is None


def test_an_exemption_goes_before_a_ban_and_an_ended_rule_counts_no_more() -> None:
    rules = book(
        (RuleEffect.BAN, RuleSubject.NETWORK, "192.0.2.0/24"), (RuleEffect.ALLOW, RuleSubject.DEVICE, DEVICE)
    )
    verdict = rules.verdict(DEVICE, "192.0.2.1", "", NOW)
    assert verdict is not None
    assert verdict.effect is RuleEffect.ALLOW
    ended = book((RuleEffect.BAN, RuleSubject.DEVICE, DEVICE), ends_at=NOW + timedelta(hours=1))
    assert ended.verdict(DEVICE, "h", "", NOW) is not None
    assert ended.verdict(DEVICE, "h", "", NOW + timedelta(hours=1)) is None
    assert ended.ended(NOW + timedelta(hours=1)) == ["0"]


@pytest.mark.parametrize(
    ("subject", "value"),
    [
        (RuleSubject.HOST, "not-an-address"),
        (RuleSubject.NETWORK, "0.0.0.0/0"),
        (RuleSubject.NETWORK, "192.0.2.0/99"),
        (RuleSubject.DEVICE, "a b"),
        (RuleSubject.USER_AGENT, ""),
        (RuleSubject.USER_AGENT, "x\ny"),
    ],
)
def test_a_rule_that_names_nobody_or_everybody_is_refused(subject: RuleSubject, value: str) -> None:
    with pytest.raises(AdmissionInvalid):
        checked_value(subject, value)
