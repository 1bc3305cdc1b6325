"""What every procedure works with: the station, the book, what was allowed, and what is known by now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from commonview.conformance.book import Book
from commonview.conformance.heard import Heard
from commonview.conformance.model import Text
from commonview.conformance.station import Answer, Station
from commonview.wire.gbid import TypeCode, classify
from commonview.wire.manscdp import AnyBlock, CatalogItem, DeviceInfo, Message, RecordItem, Repair
from commonview.wire.version import GbVersion

_VIDEO_TYPES = frozenset({TypeCode.CAMERA, TypeCode.IP_CAMERA})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How a device is tested. Times in seconds.

    `channel` names the channel to call; None takes the first video channel of the catalogue. `wait_s` is how
    long a device may take to register. `only` names groups of checks; empty means all of them. `keepalive_s`
    is how long keep-alives are watched at most. `unregister_s` is how long at the end somebody has to switch
    the device off; 0 does not ask. An upgrade is fetched from `firmware_url`, else the tester serves
    `firmware`.
    """

    channel: str | None = None
    wait_s: float = 300.0
    answer_s: float = 8.0
    keepalive_s: float = 150.0
    watch_s: float = 5.0
    unregister_s: float = 0.0
    allow_control: bool = False
    allow_config: bool = False
    allow_destructive: bool = False
    firmware_url: str = ""
    firmware: bytes = field(default=b"", repr=False)
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class DeviceBench:
    """The workbench of one run against a device."""

    station: Station
    book: Book
    options: DeviceOptions
    items: list[CatalogItem] = field(default_factory=list)
    info: DeviceInfo | None = None
    blocks: dict[str, AnyBlock] = field(default_factory=dict)
    recordings: list[RecordItem] = field(default_factory=list)
    restarted_at_s: float | None = None

    @property
    def version(self) -> GbVersion:
        """The edition that is tested."""
        return self.station.settings.version

    @property
    def channel(self) -> str:
        """The channel to call: the one named, else the first video channel, else the device itself."""
        if self.options.channel is not None:
            return self.options.channel
        video = [each for each in self.items if classify(each.device_id).type in _VIDEO_TYPES]
        working = [each for each in video if each.on is not False]
        for each in (*working, *video):
            return each.device_id
        return self.station.device_id

    async def ask(self, query: Message) -> Answer:
        """Ask the device with the patience of this run."""
        answer = await self.station.ask(query, first_s=self.options.answer_s)
        if answer.heard:
            self.book.judge(
                "xml.sn",
                not answer.wrong_sn,
                f"{query.cmd_type}: SN {query.sn}, answered with {answer.wrong_sn or query.sn}",
                f"{query.cmd_type}: 请求 SN {query.sn}, 应答 SN {answer.wrong_sn or query.sn}",
            )
        return answer

    def heard_of(self, kind: type[Message]) -> list[Heard]:
        """What was heard of one type of message."""
        return [each for each in self.station.heard if isinstance(each.message, kind)]

    def answered(self, check_id: str, answer: Answer) -> bool:
        """Judge that a query was answered by a message of its own type; an ERROR is a fact, not a breach."""
        if answer.messages:
            last = answer.messages[-1]
            if Repair.WRONG_CMD_TYPE in last.repairs:
                en, zh = "answered under another CmdType", "以其他 CmdType 应答"
                return self.book.judge(check_id, False, en, zh)
            failed = getattr(last, "failed", False)
            told = getattr(last, "result", "") or "-"
            if failed:
                self.book.observe(check_id, f"answered with Result {told}", f"应答 Result 为 {told}")
                return False
            if getattr(last, "sum_num", 0) is None:
                return self.book.judge(check_id, False, "answered without SumNum", "应答没有 SumNum")
            return self.book.judge(
                check_id, True, f"{len(answer.heard)} message(s)", f"{len(answer.heard)} 条应答消息"
            )
        status = "no SIP answer" if answer.status is None else f"SIP {answer.status}"
        zh = "无 SIP 应答" if answer.status is None else f"SIP {answer.status}"
        seconds = self.options.answer_s
        self.book.judge(
            check_id, False, f"{status}, no message within {seconds:g} s", f"{zh}, {seconds:g} 秒内无应答消息"
        )
        return False


@dataclass(frozen=True, slots=True)
class Procedure:
    """Steps at the wire that judge some checks. `checks` names them, or groups with a dot at the end."""

    title: Text
    checks: tuple[str, ...]
    run: Callable[[DeviceBench], Awaitable[None]]
    limit_s: float = 120.0
