"""SDCardStatus: the memory cards of a device (GB/T 28181-2022 A.2.4.14, A.2.6.16)."""

from dataclasses import dataclass, field
from enum import Enum

from commonview.wire.manscdp.codecs import choice, listed, text, whole
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import Record
from commonview.wire.version import GbVersion


@message("Query", "SDCardStatus", since=GbVersion.V2022)
@dataclass(frozen=True, slots=True, kw_only=True)
class SDCardStatusQuery(Message):
    """Ask a device about its memory cards."""


class SDCardState(Enum):
    """How a memory card is."""

    OK = "ok"
    FORMATTING = "formatting"
    UNFORMATTED = "unformatted"
    IDLE = "idle"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class SDCard(Record):
    """One memory card: `number` from 1, progress in per cent, sizes in MB."""

    number: int = field(metadata=whole("ID", high=255))
    hdd_name: str = field(default="", metadata=text("HddName", limit=256))
    status: SDCardState | None = field(default=None, metadata=choice("Status", SDCardState))
    format_progress: int | None = field(default=None, metadata=whole("FormatProgress", high=100))
    capacity_mb: int | None = field(default=None, metadata=whole("Capacity"))
    free_space_mb: int | None = field(default=None, metadata=whole("FreeSpace"))


@message("Response", "SDCardStatus", since=GbVersion.V2022, read_as=("SDCardStatusQuery",))
@dataclass(frozen=True, slots=True, kw_only=True)
class SDCardStatus(Answer):
    """The memory cards."""

    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    items: tuple[SDCard, ...] = field(default=(), metadata=listed("SDCardStatusInfo", SDCard))
