"""The table of known peculiarities. Later entries win over earlier ones; an operator wins over all.

``trap`` is the number in docs/conformance.md, None for what merely differs between editions and makers. Flags
without an entry are for operators: what depends on an installation's network, or is known of no maker. That
Dahua always sends SSRC 0 (ossrs/srs#2047) and Hikvision one of its own (ossrs/srs#4561) needs no entry: every
peer's SSRC is learnt.
"""

from __future__ import annotations

from typing import Final

from commonview.network.quirks.model import (
    ConfigTarget,
    Entry,
    Flag,
    Match,
    SubStreamDialect,
)
from commonview.wire.version import GbVersion

HIKVISION: Final = ("hikvision", "海康")
DAHUA: Final = ("dahua", "大华")
HUAWEI: Final = ("huawei", "华为")
UNIVIEW: Final = ("uniview", "宇视", "unv")
MERCURY: Final = ("mercury", "水星", "tp-link", "tplink", "普联")

_OLDER: Final = (GbVersion.V2011, GbVersion.V2011S, GbVersion.V2016)

ENTRIES: Final = (
    *(
        Entry(
            name=f"sub-stream-{version.name.lower()}",
            match=Match(version=version),
            sets={Flag.SUB_STREAM: SubStreamDialect.STREAM},
            trap=None,
            source="WVP channel page: a=stream:1 before 2022 gave streamnumber",
        )
        for version in _OLDER
    ),
    Entry(
        name="hikvision-guard-first",
        match=Match(vendor=HIKVISION),
        sets={Flag.GUARD_FIRST: True},
        trap=27,
        source="WVP#483: no alarms before GuardCmd",
    ),
    Entry(
        name="dahua-sub-stream",
        match=Match(vendor=DAHUA),
        sets={Flag.SUB_STREAM: SubStreamDialect.STREAMPROFILE},
        trap=None,
        source="WVP channel page",
    ),
    Entry(
        name="dahua-record-type",
        match=Match(vendor=DAHUA),
        sets={Flag.RECORD_TYPE_ALL: True},
        trap=20,
        source="WVP SIPCommander: RecordInfo needs <Type>all</Type>",
    ),
    Entry(
        name="dahua-config-target",
        match=Match(vendor=DAHUA),
        sets={Flag.CONFIG_TARGET: ConfigTarget.DEVICE},
        trap=21,
        source="WVP SIPCommander: BasicParam only under the device's id",
    ),
    Entry(
        name="uniview-config",
        match=Match(vendor=UNIVIEW),
        sets={Flag.CONFIG_UNANSWERED: True},
        trap=21,
        source="WVP SIPCommander: BasicParam is taken, not answered, and the device registers anew",
    ),
    Entry(
        name="mercury-sub-stream",
        match=Match(vendor=MERCURY),
        sets={Flag.SUB_STREAM: SubStreamDialect.STREAM_MODE},
        trap=None,
        source="WVP channel page: a=streamMode:SUB",
    ),
    Entry(
        name="huawei-no-reregistration",
        match=Match(vendor=HUAWEI),
        sets={Flag.NO_REREGISTRATION: True},
        trap=10,
        source="WVP#861, commit c1b0365b0: never registers again after the first time",
    ),
    Entry(
        name="huawei-d2120",
        match=Match(vendor=HUAWEI, model="d2120"),
        sets={Flag.TCP_PASSIVE_REFUSED: True},
        trap=44,
        source="WVP#902: refuses a TCP passive SDP",
    ),
)
"""In the order in which they apply."""
