"""Monitor-User-Identity (GB/T 28181-2022 8.3)."""

import pytest

from commonview.wire.sip.errors import SipParseError
from commonview.wire.sip.user_identity import MAX_CHARS, UserIdentity

NEAR, OWN, USER = "34020000002090000001", "11010000002000000001", "11010000004000000007"


def test_a_user_of_the_next_domain_is_read() -> None:
    identity = UserIdentity.parse(f"{OWN}-{USER}-operator-3")
    assert identity == UserIdentity((OWN,), USER, ("operator", "3"))
    assert identity.encode() == f"{OWN}-{USER}-operator-3"


def test_each_domain_puts_its_gateway_in_front() -> None:
    identity = UserIdentity((OWN,), USER).through(NEAR)
    assert identity.encode() == f"{NEAR}-{OWN}-{USER}"
    assert UserIdentity.parse(identity.encode()) == identity


def test_a_request_that_comes_back_is_noticed() -> None:
    with pytest.raises(ValueError, match="crossed"):
        UserIdentity((NEAR, OWN), USER).through(OWN)


@pytest.mark.parametrize(
    "value", ["", USER, OWN, f"{OWN}-", f"{OWN}--{USER}", f"{OWN}-a b", f"{OWN}-" + "x" * MAX_CHARS]
)
def test_what_names_no_gateway_or_no_user_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        UserIdentity.parse(value)


@pytest.mark.parametrize("attribute", ["", "a-b", "a b", "a\r\nb"])
def test_what_the_field_cannot_carry_is_not_written(attribute: str) -> None:
    with pytest.raises(ValueError, match="Monitor-User-Identity"):
        UserIdentity((OWN,), USER, (attribute,)).encode()
