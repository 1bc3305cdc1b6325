"""The bad behaviour of fielded devices and platforms, by name: `commonview simulate ... --faults a,b`.

Every fault was seen in the field; its number is that of docs/conformance.md. A name stands for knobs of
`Faults`, or for a `Fault` that the part of the simulator concerned asks about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from commonview.simulator.controls import ControlFault
from commonview.simulator.errors import SimulatorError
from commonview.simulator.settings import Faults


class Fault(StrEnum):
    """The names."""

    CONTENT_LENGTH_ZERO = "content-length-zero"
    CONTENT_LENGTH_WRONG = "content-length-wrong"
    RAW_PIECES = "raw-pieces"
    RAW_AMPERSAND = "raw-ampersand"
    EMPTY_MESSAGE = "empty-message"
    TRUNCATED_AUTHORIZATION = "truncated-authorization"
    BARE_DOMAIN_URI = "bare-domain-uri"
    MEDIA_STATUS_FROM_ELSEWHERE = "media-status-from-elsewhere"
    NO_EXPIRES = "no-expires"
    NEVER_REREGISTERS = "never-reregisters"
    KEEPALIVE_TWICE = "keepalive-twice"
    ADDRESS_MOVES = "address-moves"
    REREGISTERS_OFTEN = "reregisters-often"
    UNSPECIFIED_ADDRESS = "unspecified-address"
    UTF8_AS_GB2312 = "utf8-as-gb2312"
    GB2312_AS_UTF8 = "gb2312-as-utf8"
    SUM_NUM_TOO_LARGE = "sum-num-too-large"
    SUM_NUM_MISSING = "sum-num-missing"
    CATALOGUE_PAGES_TWICE = "catalogue-pages-twice"
    CATALOGUE_PAGES_LATE = "catalogue-pages-late"
    FIRST_PAGE_LATE = "first-page-late"
    RECORDS_MISSING = "records-missing"
    RECORD_TYPE_REQUIRED = "record-type-required"
    RECORD_TIMES_WITH_ZONE = "record-times-with-zone"
    CONFIG_ONLY_DEVICE_ID = "config-only-device-id"
    CONFIG_UNANSWERED = "config-unanswered"
    CONFIG_BLOCKS_RENAMED = "config-blocks-renamed"
    SENSOR_CATALOG = "sensor-catalog"
    HOME_POSITION_MISNAMED = "home-position-misnamed"
    ANSWERS_ERROR = "answers-error"
    NEVER_MOVES = "never-moves"
    SNAPSHOT_UNFINISHED = "snapshot-unfinished"
    POSITION_FLAT = "position-flat"
    POSITION_TARGET_ID = "position-target-id"
    ALARMS_NEED_GUARD = "alarms-need-guard"
    ALARM_EVENT_PRESENCE = "alarm-event-presence"
    SUBSCRIPTION_FORGOTTEN = "subscription-forgotten"
    STATUS_FLAPPING = "status-flapping"
    STATUS_NUMBERS = "status-numbers"
    PARENTS_SEVERAL = "parents-several"
    SUBJECT_NEEDS_CAMERA = "subject-needs-camera"
    BROADCAST_AS_DEVICE = "broadcast-as-device"
    NO_Y = "no-y"
    SSRC_ZERO = "ssrc-zero"
    SSRC_OWN = "ssrc-own"
    STREAM_AFTER_BYE = "stream-after-bye"
    NEEDS_Y_LAST = "needs-y-last"
    Y_NOT_LAST = "y-not-last"
    PAYLOAD_TYPE_100 = "payload-type-100"
    TS_INSTEAD_OF_PS = "ts-instead-of-ps"
    NO_PSM = "no-psm"
    PSM_MALFORMED = "psm-malformed"
    PRIVATE_PES = "private-pes"
    AUDIO_NEVER_SENT = "audio-never-sent"
    PES_LENGTHS_WRONG = "pes-lengths-wrong"
    CLOCK_STEPS = "clock-steps"
    LOST_MARKER = "lost-marker"
    DOLLAR_FRAMING = "dollar-framing"
    FRAMING_LOST = "framing-lost"
    LATE_TCP = "late-tcp"
    ANSWER_ADDRESS_WRONG = "answer-address-wrong"
    REBOOT_WITHOUT_BYE = "reboot-without-bye"
    SCALE_NOT_SCALED = "scale-not-scaled"
    SCALE_REFUSED = "scale-refused"
    DOWNLOAD_SHORT = "download-short"
    NO_MEDIA_STATUS = "no-media-status"
    BROADCAST_REFUSED = "broadcast-refused"
    IFRAME_MISSPELT = "iframe-misspelt"
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a fault's name
    SILENT = "silent"
    PACKETS_LOST = "packets-lost"


class Party(StrEnum):
    """Who can commit a fault: what registers (cameras, recorders, lower platforms), or a superior."""

    DEVICE = "device"
    SUPERIOR = "superior"


_DEVICES: Final = frozenset({Party.DEVICE})


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """`trap` is its number in docs/conformance.md, 0 for plain misfortune; `en` and `zh` say what happens."""

    fault: Fault
    trap: int
    en: str
    zh: str
    knobs: Mapping[str, Any] = field(default_factory=dict)
    parties: frozenset[Party] = _DEVICES


class UnknownFault(SimulatorError):
    """A name that is none of the catalogue, or none of what this party can do wrong."""

    default_code = "fault_unknown"


def _control(fault: ControlFault) -> dict[str, Any]:
    return {"controls": frozenset({fault})}


_F = Fault
CATALOGUE: Final[tuple[FaultEntry, ...]] = (
    FaultEntry(
        _F.CONTENT_LENGTH_ZERO, 1, "says Content-Length 0 and sends a body", "有消息体却写Content-Length: 0"
    ),
    FaultEntry(
        _F.CONTENT_LENGTH_WRONG, 2, "says a Content-Length that is too long", "Content-Length与实际长度不符"
    ),
    FaultEntry(
        _F.RAW_PIECES,
        3,
        "cuts long messages into datagrams that are no SIP",
        "把长消息拆成不是SIP的UDP数据报",
    ),
    FaultEntry(_F.RAW_AMPERSAND, 4, "writes & and < unescaped into Address", "Address中的&和<不转义"),
    FaultEntry(_F.EMPTY_MESSAGE, 5, "sends a MESSAGE without a body", "发送没有消息体的MESSAGE"),
    FaultEntry(
        _F.TRUNCATED_AUTHORIZATION, 6, "first answers the challenge with half a field", "首次鉴权应答被截断"
    ),
    FaultEntry(
        _F.BARE_DOMAIN_URI,
        7,
        "sends every request to the bare domain",
        "Request-URI只写域编码，没有用户和端口",
    ),
    FaultEntry(
        _F.MEDIA_STATUS_FROM_ELSEWHERE,
        8,
        "tells the end of a recording under a foreign id",
        "以其他编码发送MediaStatus",
        {"finishes_as": "34020000002009999999"},
    ),
    FaultEntry(
        _F.NO_EXPIRES,
        9,
        "sends and answers SUBSCRIBE without Expires",
        "订阅及其应答不带Expires",
        parties=frozenset(Party),
    ),
    FaultEntry(_F.NEVER_REREGISTERS, 10, "registers once and never again", "注册一次后不再注册"),
    FaultEntry(_F.KEEPALIVE_TWICE, 11, "sends every keep-alive twice", "每次心跳发送两遍"),
    FaultEntry(
        _F.ADDRESS_MOVES, 12, "comes from another address without registering", "地址变化后不重新注册"
    ),
    FaultEntry(
        _F.REREGISTERS_OFTEN,
        13,
        "registers again at every keep-alive, over TCP in a new connection",
        "每个心跳周期都重新注册（TCP下新建连接）",
    ),
    FaultEntry(_F.UNSPECIFIED_ADDRESS, 15, "names 0.0.0.0 in its Contact", "Contact中写0.0.0.0"),
    FaultEntry(_F.UTF8_AS_GB2312, 16, "declares GB2312 and writes UTF-8", "声明GB2312，实际为UTF-8"),
    FaultEntry(_F.GB2312_AS_UTF8, 16, "declares UTF-8 and writes GB2312", "声明UTF-8，实际为GB2312"),
    FaultEntry(_F.SUM_NUM_TOO_LARGE, 17, "promises more items than it sends", "SumNum大于实际条数"),
    FaultEntry(
        _F.SUM_NUM_MISSING,
        17,
        "lists without SumNum",
        "列表没有SumNum",
        _control(ControlFault.LISTS_WITHOUT_SUM_NUM),
    ),
    FaultEntry(_F.CATALOGUE_PAGES_TWICE, 18, "sends every page twice", "每页发送两遍", {"pages_twice": True}),
    FaultEntry(
        _F.RECORDS_MISSING,
        18,
        "lists fewer recordings than it promises",
        "录像条数少于承诺",
        {"record_items_max": 2},
    ),
    FaultEntry(
        _F.CATALOGUE_PAGES_LATE, 19, "waits between pages", "页与页之间间隔很长", {"page_delay_s": 0.3}
    ),
    FaultEntry(_F.FIRST_PAGE_LATE, 19, "lets the first page wait", "第一页来得很晚", {"answer_delay_s": 2.0}),
    FaultEntry(
        _F.RECORD_TYPE_REQUIRED, 20, "answers a record query only with a Type", "录像查询没有Type就不应答"
    ),
    FaultEntry(
        _F.RECORD_TIMES_WITH_ZONE, 20, "writes times with milliseconds and +08:00", "时间带毫秒和+08:00"
    ),
    FaultEntry(
        _F.CONFIG_ONLY_DEVICE_ID,
        21,
        "takes a configuration under its own id only",
        "只接受以设备编码下发的配置",
    ),
    FaultEntry(
        _F.CONFIG_UNANSWERED,
        21,
        "does as configured, answers nothing and registers again",
        "执行配置但不应答，随后重新注册",
    ),
    FaultEntry(
        _F.CONFIG_BLOCKS_RENAMED,
        22,
        "answers with another element than was asked for",
        "返回的配置元素名与ConfigType不同",
        _control(ControlFault.BLOCKS_RENAMED),
    ),
    FaultEntry(_F.SENSOR_CATALOG, 22, "sends a SensorCatalog nobody knows", "发送非标准的SensorCatalog"),
    FaultEntry(
        _F.HOME_POSITION_MISNAMED,
        23,
        "answers under another CmdType",
        "以错误的CmdType应答看守位查询",
        _control(ControlFault.HOME_POSITION_MISNAMED),
    ),
    FaultEntry(
        _F.ANSWERS_ERROR,
        23,
        "answers ERROR to everything",
        "一律应答ERROR",
        _control(ControlFault.ANSWERS_ERROR),
    ),
    FaultEntry(
        _F.NEVER_MOVES,
        24,
        "accepts every movement and does not move",
        "接受控制命令但不执行",
        _control(ControlFault.NEVER_MOVES),
    ),
    FaultEntry(
        _F.SNAPSHOT_UNFINISHED, 25, "takes the order of a snapshot and forgets it", "接受抓拍命令却没有下文"
    ),
    FaultEntry(_F.POSITION_FLAT, 26, "sends positions in the form of 2016", "以2016版的扁平形式上报位置"),
    FaultEntry(
        _F.POSITION_TARGET_ID, 26, "names itself TargetID in positions", "位置通知用TargetID代替DeviceID"
    ),
    FaultEntry(
        _F.ALARMS_NEED_GUARD,
        27,
        "raises no alarm before it is guarded",
        "布防前不报警",
        _control(ControlFault.ALARMS_NEED_GUARD),
    ),
    FaultEntry(
        _F.ALARM_EVENT_PRESENCE,
        27,
        "knows the alarm subscription as presence only",
        "报警订阅只认Event: presence",
    ),
    FaultEntry(
        _F.SUBSCRIPTION_FORGOTTEN,
        28,
        "does not know its subscriptions any more",
        "忘记订阅对话，刷新时应答481",
    ),
    FaultEntry(_F.STATUS_FLAPPING, 30, "tells a channel off and on all the time", "通道状态反复上下线"),
    FaultEntry(_F.STATUS_NUMBERS, 30, "writes 1 and 0 for ON and OFF", "状态写1和0"),
    FaultEntry(_F.PARENTS_SEVERAL, 31, "names several parents in ParentID", "ParentID含多个编码"),
    FaultEntry(_F.SUBJECT_NEEDS_CAMERA, 32, "wants the camera's id in Subject", "Subject必须是摄像机编码"),
    FaultEntry(_F.BROADCAST_AS_DEVICE, 32, "calls for a voice as the device", "语音广播的INVITE携带设备编码"),
    FaultEntry(
        _F.NO_Y,
        33,
        "offers and answers without y=",
        "邀请和应答不带y=",
        {"omit_ssrc": True},
        frozenset(Party),
    ),
    FaultEntry(_F.SSRC_ZERO, 34, "sends SSRC 0 whatever was agreed", "SSRC总是0", {"sent_ssrc": 0}),
    FaultEntry(
        _F.SSRC_OWN,
        34,
        "chooses an SSRC of its own",
        "自行选择SSRC",
        {"answered_ssrc": 999_999_999, "sent_ssrc": 4_123_456_789},
    ),
    FaultEntry(_F.STREAM_AFTER_BYE, 35, "goes on sending after BYE", "收到BYE后继续发流"),
    FaultEntry(_F.NEEDS_Y_LAST, 36, "refuses an offer unless y= is last", "y=不在最后就应答415"),
    FaultEntry(_F.Y_NOT_LAST, 36, "puts y= before the media line", "y=写在媒体行之前"),
    FaultEntry(_F.PAYLOAD_TYPE_100, 37, "sends payload type 100", "载荷类型为100"),
    FaultEntry(_F.TS_INSTEAD_OF_PS, 38, "agrees on PS and sends MPEG-TS", "协商PS却发TS"),
    FaultEntry(_F.NO_PSM, 39, "sends no stream map", "没有PSM", {"omit_stream_map": True}),
    FaultEntry(_F.PSM_MALFORMED, 39, "sends a stream map with wrong lengths", "PSM长度字段错误"),
    FaultEntry(_F.PRIVATE_PES, 40, "mixes private PES packets into the stream", "混入0xBD私有PES"),
    FaultEntry(
        _F.AUDIO_NEVER_SENT, 40, "announces G.711 audio and never sends it", "宣告有G.711音频但从不发送"
    ),
    FaultEntry(_F.PES_LENGTHS_WRONG, 41, "writes wrong lengths into PES headers", "PES头长度不规范"),
    FaultEntry(
        _F.CLOCK_STEPS,
        0,
        "sets its clock an hour on and back in the middle of a stream",
        "推流中时钟前后跳变一小时",
    ),
    FaultEntry(_F.LOST_MARKER, 42, "never sets the marker bit", "RTP marker位丢失"),
    FaultEntry(_F.DOLLAR_FRAMING, 43, "frames TCP media like RTSP", "TCP媒体采用$四字节封装"),
    FaultEntry(_F.FRAMING_LOST, 43, "loses its framing now and then", "TCP封装偶尔错位"),
    FaultEntry(_F.LATE_TCP, 44, "dials late", "媒体TCP连接建立很晚"),
    FaultEntry(_F.ANSWER_ADDRESS_WRONG, 45, "names a private address in its answer", "应答SDP中写内网地址"),
    FaultEntry(
        _F.REBOOT_WITHOUT_BYE, 46, "restarts in the middle of a stream, without BYE", "推流中重启且不发BYE"
    ),
    FaultEntry(
        _F.SCALE_NOT_SCALED,
        47,
        "plays faster without scaling its time stamps",
        "倍速时时间戳不缩放",
        {"timestamps_unscaled": True},
    ),
    FaultEntry(
        _F.SCALE_REFUSED,
        47,
        "refuses every speed but 1 and 2",
        "拒绝1、2以外的倍速",
        {"refuses_unusual_scale": True},
    ),
    FaultEntry(
        _F.DOWNLOAD_SHORT, 48, "ends a download too early", "下载内容缺少结尾", {"download_short_s": 2.0}
    ),
    FaultEntry(
        _F.NO_MEDIA_STATUS,
        48,
        "does not tell the end of a recording",
        "录像结束不发MediaStatus",
        {"finishes_silently": True},
    ),
    FaultEntry(
        _F.BROADCAST_REFUSED, 49, "refuses Broadcast, is called with s=Talk", "拒绝语音广播，只接受s=Talk呼叫"
    ),
    FaultEntry(
        _F.IFRAME_MISSPELT,
        50,
        "writes IFameCmd",
        "把IFrameCmd写成IFameCmd",
        parties=frozenset({Party.SUPERIOR}),
    ),
    FaultEntry(
        _F.WRONG_PASSWORD, 0, "registers with a wrong password", "注册密码错误", {"wrong_password": True}
    ),
    FaultEntry(
        _F.SILENT, 0, "accepts control and says nothing", "控制命令无应答", _control(ControlFault.SILENT)
    ),
    FaultEntry(_F.PACKETS_LOST, 0, "loses one packet in a hundred", "百分之一丢包", {"loss": 0.01}),
)
NO_FAULT_OF_ONE_PEER: Final[Mapping[int, tuple[str, str]]] = {
    14: ("how two platforms are arranged", "两个平台互为上下级的部署方式"),
    29: ("what a superior makes of our silence", "上级平台对未应答心跳的处理"),
}
"""The traps that no device and no superior of the simulator commits by itself, and what they are instead."""

_BY_NAME: Final = {each.fault.value: each for each in CATALOGUE}


def commit(names: Iterable[str], base: Faults | None = None) -> Faults:
    """The faults of these names together, on top of `base`. Raises `UnknownFault`."""
    faults = base or Faults()
    for name in names:
        entry = _BY_NAME.get(name)
        if entry is None:
            known = ", ".join(sorted(_BY_NAME))
            raise UnknownFault(f"there is no fault {name[:60]!r}; there are: {known}")
        knobs = dict(entry.knobs)
        knobs["controls"] = faults.controls | knobs.get("controls", frozenset())
        faults = replace(faults, named=faults.named | {entry.fault}, **knobs)
    return faults


def parse_faults(text: str, party: Party = Party.DEVICE) -> Faults:
    """From names separated by commas. Raises `UnknownFault`, also for what `party` cannot do wrong."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        entry = _BY_NAME.get(name)
        if entry is not None and party not in entry.parties:
            possible = ", ".join(sorted(one.fault for one in CATALOGUE if party in one.parties))
            raise UnknownFault(f"{name!r} is no fault of a {party}; there are: {possible}")
    return commit(names)
