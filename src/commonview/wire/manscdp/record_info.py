"""Query and Response RecordInfo: what a device has recorded (GB/T 28181-2022 9.7, A.2.4.5, A.2.6.7).

A long list arrives in several messages with one SN; `sum_num` is a claim (traps 17 and 18).
"""

from dataclasses import dataclass, field
from datetime import datetime

from commonview.wire.manscdp.codecs import listed, moment, text, whole
from commonview.wire.manscdp.registry import Answer, Message, message
from commonview.wire.manscdp.schema import Record
from commonview.wire.version import GbVersion

ALL_TYPES = "all"


@message("Query", "RecordInfo")
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInfoQuery(Message):
    """Ask for recordings between two times. `type` time, alarm, manual or all: always sent (trap 20: Dahua).

    `indistinct_query` 0 finds at the recorder named by the device id, 1 also at the centre.
    """

    start_time: datetime = field(metadata=moment("StartTime"))
    end_time: datetime = field(metadata=moment("EndTime"))
    file_path: str = field(default="", metadata=text("FilePath", limit=256))
    address: str = field(default="", metadata=text("Address", limit=256))
    secrecy: int | None = field(default=0, metadata=whole("Secrecy", high=255))
    type: str = field(default=ALL_TYPES, metadata=text("Type", limit=16))
    recorder_id: str = field(default="", metadata=text("RecorderID", limit=32))
    indistinct_query: str = field(default="", metadata=text("IndistinctQuery", limit=8))
    stream_number: int | None = field(
        default=None, metadata=whole("StreamNumber", high=255, since=GbVersion.V2022)
    )
    alarm_method: str = field(default="", metadata=text("AlarmMethod", limit=64, since=GbVersion.V2022))
    alarm_type: str = field(default="", metadata=text("AlarmType", limit=64, since=GbVersion.V2022))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordItem(Record):
    """One recording. `file_size_bytes` and the times are None when not told; `type` as in the query."""

    device_id: str = field(default="", metadata=text("DeviceID", limit=32))
    name: str = field(default="", metadata=text("Name", limit=256))
    file_path: str = field(default="", metadata=text("FilePath", limit=512))
    address: str = field(default="", metadata=text("Address", limit=256))
    start_time: datetime | None = field(default=None, metadata=moment("StartTime"))
    end_time: datetime | None = field(default=None, metadata=moment("EndTime"))
    secrecy: int | None = field(default=None, metadata=whole("Secrecy", high=255))
    type: str = field(default="", metadata=text("Type", limit=16))
    recorder_id: str = field(default="", metadata=text("RecorderID", limit=64))
    file_size_bytes: int | None = field(default=None, metadata=whole("FileSize", since=GbVersion.V2016))
    record_location: str = field(
        default="", metadata=text("RecordLocation", limit=256, since=GbVersion.V2022)
    )
    stream_number: int | None = field(
        default=None, metadata=whole("StreamNumber", high=255, since=GbVersion.V2022)
    )


@message("Response", "RecordInfo")
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInfo(Answer):
    """One page of recordings of the channel `device_id`. `sum_num` is the claimed grand total."""

    name: str = field(default="", metadata=text("Name", limit=256))
    sum_num: int | None = field(default=None, metadata=whole("SumNum"))
    items: tuple[RecordItem, ...] = field(default=(), metadata=listed("RecordList", RecordItem))
