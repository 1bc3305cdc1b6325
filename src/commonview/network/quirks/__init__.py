"""Peers as they are: what each does otherwise than the standard says, as data with a source and a counter.

`peer_profile(record)` gives the profile; where a flag makes a difference call `note_fired(record, Flag.X)`.
"""

from commonview.media import SsrcPolicy
from commonview.network.quirks.model import (
    Charset,
    ConfigTarget,
    DigestAlgorithm,
    DigestQop,
    Entry,
    Flag,
    Match,
    MediaAddress,
    NoteWish,
    Profile,
    ScaleFormat,
    SubStreamDialect,
    TalkDialect,
)
from commonview.network.quirks.profile import (
    Overrides,
    Peer,
    QuirkInvalid,
    Reason,
    Setting,
    checked_overrides,
    fired,
    note_fired,
    peer_profile,
    reasons_of,
    settings_of,
    table,
    write_value,
)

__all__ = [
    "Charset",
    "ConfigTarget",
    "DigestAlgorithm",
    "DigestQop",
    "Entry",
    "Flag",
    "Match",
    "MediaAddress",
    "NoteWish",
    "Overrides",
    "Peer",
    "Profile",
    "QuirkInvalid",
    "Reason",
    "ScaleFormat",
    "Setting",
    "SsrcPolicy",
    "SubStreamDialect",
    "TalkDialect",
    "checked_overrides",
    "fired",
    "note_fired",
    "peer_profile",
    "reasons_of",
    "settings_of",
    "table",
    "write_value",
]
