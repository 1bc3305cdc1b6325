"""The report for machines. docs/conformance-tester.md has the schema; `report_version` tells it."""

from __future__ import annotations

from typing import Any

from commonview.conformance.model import REPORT_VERSION, Finding, Level, Report, Text, Verdict


def document(report: Report) -> dict[str, Any]:
    """Everything of a report, ready for `json.dumps`."""
    peer = report.peer
    return {
        "report_version": REPORT_VERSION,
        "program": report.program,
        "role": report.role.value,
        "edition": report.edition,
        "transport": report.transport,
        "started_at": report.started_at.isoformat(timespec="milliseconds"),
        "ended_at": report.ended_at.isoformat(timespec="milliseconds"),
        "interrupted": report.interrupted,
        "conforms": report.conforms,
        "peer": {
            "id": peer.id,
            "address": peer.address,
            "manufacturer": peer.manufacturer,
            "model": peer.model,
            "firmware": peer.firmware,
            "user_agent": peer.user_agent,
            "declared_version": peer.declared_version,
        },
        "summary": {
            level.value: {verdict.value: len(report.of(verdict, level)) for verdict in Verdict}
            for level in Level
        },
        "findings": [_finding(each, report) for each in report.findings],
        "messages": [
            {
                "number": each.number,
                "at_s": each.at_s,
                "direction": "received" if each.received else "sent",
                "transport": each.transport,
                "peer": each.peer,
                "text": each.text,
            }
            for each in report.messages
        ],
        "messages_left_out": report.messages_left_out,
    }


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    check = finding.check
    return {
        "id": check.id,
        "clause": check.clause(report.version),
        "level": check.level_in(report.version).value,
        "title": _text(check.title),
        "verdict": finding.verdict.value,
        "saw": _text(finding.saw),
        "at_s": finding.at_s,
        "messages": list(finding.messages),
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh-CN": text.zh}
