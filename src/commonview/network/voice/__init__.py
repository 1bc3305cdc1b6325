"""Voices to devices: broadcast and talk (GB/T 28181-2022 9.12; `s=Talk` of 2016).

What the device hears goes one way here. To hear its side too, its live picture is opened beside it.
"""

from commonview.network.voice.desk import VoiceDesk
from commonview.network.voice.errors import TalkBusy, TalkUnknown
from commonview.network.voice.model import Talk, TalkEnd, TalkHop, TalkHopKind, TalkState, VoiceSource
from commonview.network.voice.way import TalkGround

__all__ = [
    "Talk",
    "TalkBusy",
    "TalkEnd",
    "TalkGround",
    "TalkHop",
    "TalkHopKind",
    "TalkState",
    "TalkUnknown",
    "VoiceDesk",
    "VoiceSource",
]
