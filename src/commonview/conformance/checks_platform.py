# ruff: noqa: E501 - the table is read by its columns
"""What a platform is asked for, as data: id, level, clauses of 2022 and 2016, and what must hold."""

from typing import Final

from commonview.conformance.model import Check, Level, Text

_SHALL: Final = Level.SHALL
_SHOULD: Final = Level.SHOULD

_ROWS: Final[tuple[tuple[str, Level, str, str, str, str], ...]] = (
    ("register.challenge", _SHALL, "8.2, 9.1.2.1", "8.2, 9.1.2.1", "A REGISTER without proof is challenged with 401", "未携带凭证的 REGISTER 以 401 质询"),
    ("register.challenge-form", _SHALL, "8.2", "8.2", "The challenge is a Digest with realm, nonce and an algorithm that can be answered", "质询为含 realm、nonce 的可应答 Digest"),
    ("register.nonce", _SHOULD, "8.2", "8.2", "Every challenge has a nonce of its own", "每次质询使用不同的 nonce"),
    ("register.wrong-password", _SHALL, "8.2", "8.2", "A wrong password is refused", "错误口令被拒绝"),
    ("register.accepted", _SHALL, "9.1.2.1", "9.1.2.1", "A right digest is accepted with 200", "正确摘要得到 200"),
    ("register.replayed", _SHOULD, "8.2", "8.2", "A proof sent again in another REGISTER is not accepted", "重放的摘要不被接受"),
    ("register.date", _SHALL, "9.10.3", "9.10", "The 200 carries Date as YYYY-MM-DDThh:mm:ss.SSS, Beijing time", "200 携带 Date: YYYY-MM-DDThh:mm:ss.SSS, 北京时间"),
    ("register.expires", _SHOULD, "9.1.1", "9.1.1", "The 200 tells the expiry", "200 写明有效期"),
    ("register.version", _SHALL, "Annex I", "", "Every answer to REGISTER carries X-GB-Ver", "对 REGISTER 的各应答携带 X-GB-Ver"),
    ("register.refresh", _SHALL, "9.1.1", "9.1.1", "A refresh is accepted", "刷新注册被接受"),
    ("register.unregister", _SHALL, "9.1.2.2", "9.1.2.2", "Expires 0 is challenged and accepted", "Expires 0 经质询后被接受"),
    ("sip.tag", _SHALL, "4.3", "4.3", "Final answers carry a To tag and repeat Via, From, Call-ID and CSeq (RFC 3261 8.2.6)", "最终应答带 To tag 并复制 Via、From、Call-ID、CSeq (RFC 3261 8.2.6)"),
    ("sip.retransmission", _SHALL, "4.3", "4.3", "A repeated request over UDP gets the same answer again (RFC 3261 17.2.2)", "UDP 重发的请求得到相同应答 (RFC 3261 17.2.2)"),
    ("sip.options", _SHOULD, "9.2.3", "9.2.3", "OPTIONS is answered", "OPTIONS 得到应答"),
    ("keepalive.answered", _SHALL, "9.6", "9.6", "A keep-alive of a registered device is answered with 200", "已注册设备的保活得到 200"),
    ("keepalive.empty", _SHALL, "9.3.3", "9.3.2", "That 200 carries no body", "该 200 不带消息体"),
    ("keepalive.stranger", _SHOULD, "9.6", "9.6", "A keep-alive of a device that left is not taken for its presence", "已注销设备的保活不被当作在线"),
    ("query.asks", _SHOULD, "9.5", "9.5", "The platform asks the new device by itself (Catalog, DeviceInfo or DeviceStatus)", "平台主动查询新设备 (目录、设备信息或设备状态)"),
    ("query.form", _SHALL, "A.1", "A.1", "Its queries carry root, CmdType, SN and the device's id", "查询含根元素、CmdType、SN 与设备编码"),
    ("query.charset", _SHALL, "6.10", "6.10", "Its queries are in the character set that they declare", "查询的实际字符集与声明一致"),
    ("query.via", _SHALL, "4.3", "4.3", "Its requests carry a branch with the magic cookie of RFC 3261", "请求的 Via branch 带 RFC 3261 魔术前缀"),
    ("query.addressed", _SHOULD, "6.1.2", "6.1.2", "Its requests name the device in To and the platform in From", "请求的 To 为设备, From 为平台"),
    ("query.response-taken", _SHALL, "9.5", "9.5", "The answers to its queries are taken with 200", "对其查询的应答得到 200"),
    ("notify.alarm", _SHALL, "9.4", "9.4", "An alarm is taken with 200", "报警通知得到 200"),
    ("notify.alarm-answered", _SHALL, "9.4, A.2.6.3", "9.4, A.2.6", "An alarm is answered by a MANSCDP response with its SN", "报警得到同 SN 的 MANSCDP 应答"),
    ("notify.unknown", _SHOULD, "9.3.3", "9.3.2", "A notice of an unknown CmdType does no harm", "未知 CmdType 的通知不影响平台"),
    ("notify.long", _SHALL, "Annex M", "Annex N", "A catalogue in many pages is taken page by page", "多页目录逐页得到应答"),
    ("invite.comes", _SHALL, "9.2", "9.2", "The platform calls for live video", "平台发起实时点播"),
    ("invite.subject", _SHALL, "9.2, Annex L", "9.2, Annex K", "INVITE carries a Subject of the form sender:number,receiver:number", "INVITE 携带 Subject: 发送方:序号,接收方:序号"),
    ("invite.sdp", _SHALL, "Annex G", "Annex F", "The offer has o, s=Play, c, t=0 0 and a video line with PS/90000", "SDP 含 o、s=Play、c、t=0 0 与 PS/90000 视频行"),
    ("invite.ssrc", _SHALL, "Annex G", "Annex F", "y= has ten digits, the first 0 for live", "y= 为十位数字, 实时点播首位为 0"),
    ("invite.direction", _SHOULD, "Annex G", "Annex F", "The offer says recvonly", "SDP 写明 recvonly"),
    ("invite.ack", _SHALL, "9.2", "9.2", "The 200 is acknowledged", "200 得到 ACK"),
    ("invite.bye", _SHALL, "9.2", "9.2", "The call is ended with BYE inside the dialog", "以对话内 BYE 结束会话"),
    ("hostile.garbage", _SHALL, "4.3", "4.3", "Octets that are no SIP do no harm", "非 SIP 字节不影响平台"),
    ("hostile.headers", _SHALL, "4.3", "4.3", "Requests with missing, repeated or endless header fields do no harm", "头域缺失、重复或超长的请求不影响平台"),
    ("hostile.xml", _SHALL, "A.1", "A.1", "Broken XML, and XML with entities, do no harm", "损坏或含实体的 XML 不影响平台"),
    ("hostile.length", _SHALL, "4.3", "4.3", "A Content-Length that lies does no harm", "虚假的 Content-Length 不影响平台"),
)  # fmt: skip

PLATFORM_CHECKS: Final = tuple(
    Check(id=name, level=level, clause_2022=new, clause_2016=old, title=Text(en, zh))
    for name, level, new, old, en, zh in _ROWS
)
"""In the order in which they are reported."""
