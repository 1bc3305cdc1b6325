"""Notify and Response Broadcast: a device is asked to fetch our voice (GB/T 28181-2022 9.12, A.2.5.6)."""

from dataclasses import dataclass, field
from typing import ClassVar

from commonview.wire.manscdp.codecs import text
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.version import GbVersion


@message("Notify", "Broadcast", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast(Message):
    """`source_id` speaks, `target_id` (a speaker, or a device for all of its) is to call it. No DeviceID."""

    addressed: ClassVar[bool] = False

    device_id: str = ""
    source_id: str = field(metadata=text("SourceID", limit=32))
    target_id: str = field(metadata=text("TargetID", limit=32))


@message("Response", "Broadcast", since=GbVersion.V2016)
@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastResult(Answer):
    """Whether the device will call."""
