"""The counters that /api/system shows."""

import re

from commonview.api.instance import sip_counters
from commonview.wire.sip import SipCounters


def test_sip_counters_have_plain_names_and_keep_their_counts() -> None:
    counters = SipCounters(received=7)
    counters.events["request BYE"] += 3
    counters.events["tcp closed: too much unfinished"] += 1
    counters.responses[200] += 5
    counters.parse_errors["no CSeq"] += 2
    shown = sip_counters(counters)
    assert shown["received"] == 7
    assert shown["events.request_bye"] == 3
    assert shown["events.tcp_closed_too_much_unfinished"] == 1
    assert shown["responses.200"] == 5
    assert shown["parse_errors.no_cseq"] == 2
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z0-9_]+)?", name) for name in shown)


def test_names_that_become_the_same_are_added_up() -> None:
    counters = SipCounters()
    counters.events["tcp keep-alive"] += 1
    counters.events["tcp keep alive"] += 2
    assert sip_counters(counters)["events.tcp_keep_alive"] == 3
