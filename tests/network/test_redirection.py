"""Rules that send devices to other servers."""

import pytest

from commonview.network.redirection import Redirections, RedirectTarget

OTHER = "34020000002000000002"


def test_the_longest_rule_that_fits_holds() -> None:
    rules = Redirections.parse(
        f"3402={OTHER}@192.0.2.20:5060, 340200000113=34020000002000000003@[2001:db8::1]:5070"
    )
    assert rules.of("34020000011100000001") == RedirectTarget(OTHER, "192.0.2.20", 5060)
    target = rules.of("34020000011300000001")
    assert target is not None
    assert target.contact == "<sip:34020000002000000003@[2001:db8::1]:5070>"
    assert rules.of("11010000011300000001") is None


def test_no_rule_keeps_every_device_here() -> None:
    assert Redirections.parse(" ").of("34020000011300000001") is None


@pytest.mark.parametrize(
    "text",
    [
        "3402",
        f"3402={OTHER}",
        f"3402={OTHER}@h:0",
        f"3402={OTHER}@h:70000",
        f"x={OTHER}@h:1",
        "3402=12@h:1",
        f"1={OTHER}@h:1,1={OTHER}@h:2",
    ],
)
def test_a_malformed_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"rules for|no DIGITS"):
        Redirections.parse(text)
