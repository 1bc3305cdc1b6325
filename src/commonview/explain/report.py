"""The page a person reads: summary first, then each device, then what failed, each with its ladder."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from commonview.explain.canvas import Canvas, fit, printable, width, wrap
from commonview.explain.ladder import LadderStyle, address, clock, flow_text, ladder
from commonview.explain.model import Exchange, ExchangeKind, Finding, Outcome, Severity, Story

if TYPE_CHECKING:
    from collections.abc import Iterable

    from commonview.explain.model import Params
    from commonview.explain.reading import Reading
    from commonview.explain.words import Words

_COLOURS: Final = {
    Outcome.OK: "green",
    Outcome.DEGRADED: "yellow",
    Outcome.FAILED: "red",
    Outcome.UNFINISHED: "dim",
}
_MARKS: Final = {Outcome.OK: "✓", Outcome.DEGRADED: "!", Outcome.FAILED: "✗", Outcome.UNFINISHED: "…"}
_ASCII_MARKS: Final = {Outcome.OK: "+", Outcome.DEGRADED: "!", Outcome.FAILED: "x", Outcome.UNFINISHED: "."}
MAX_LADDERS: Final = 12
MAX_DEVICES: Final = 200
MAX_VERDICTS: Final = 5
MAX_FLOWS: Final = 20
LADDER_LINES: Final = 28


class Report:
    """Writes a story for a terminal or a text file."""

    def __init__(
        self, words: Words, canvas: Canvas, *, ascii_only: bool = False, bodies: bool = False
    ) -> None:
        self._words = words
        self._canvas = canvas
        self._style = LadderStyle(ascii=ascii_only, bodies=bodies, max_lines=0 if bodies else LADDER_LINES)
        self._marks = _ASCII_MARKS if ascii_only else _MARKS
        self._lines: list[str] = []
        self._ladders = 0

    def capture(self, name: str, reading: Reading, story: Story, device_id: str | None) -> str:
        """The whole page of a capture file."""
        words, recording = self._words, reading.recording
        self._line(self._canvas.paint(words.say("page.title", {"file": printable(name)}), "bold"))
        values = {
            "frames": reading.counters.frames,
            "seconds": f"{max(0.0, recording.ends - recording.begins):.1f}",
            "messages": story.messages,
            "flows": len(recording.flows),
        }
        when = f"{clock(recording.begins, date=True)}  " if recording.begins else ""
        self._paragraph(when + words.say("page.span", values), 0, "dim")
        self._troubles(reading)
        devices = (
            story.devices() if device_id is None else tuple(d for d in story.devices() if d == device_id)
        )
        if not devices:
            self._line()
            missing = "page.nothing" if device_id is None or not story.exchanges else "page.no_device"
            self._paragraph(words.say(missing), 0)
        else:
            self._overview(story, devices)
            for each in devices[:MAX_DEVICES]:
                self._device(story, each)
        self._loose(story)
        return "\n".join(self._lines) + "\n"

    def exchanges(self, exchanges: Iterable[Exchange], *, every_ladder: bool = True) -> str:
        """Exchanges one after the other, each with its findings and its ladder."""
        for exchange in exchanges:
            self._line()
            self._exchange(exchange, with_ladder=every_ladder)
        return "\n".join(self._lines).lstrip("\n") + "\n"

    # -- parts

    def _line(self, text: str = "") -> None:
        self._lines.append(text.rstrip())

    def _paragraph(self, text: str, indent: int, *styles: str) -> None:
        for line in wrap(text, self._canvas.columns - indent):
            self._line(" " * indent + self._canvas.paint(line, *styles))

    def _labelled(self, label: str, text: str, indent: int, label_columns: int) -> None:
        lines = wrap(text, self._canvas.columns - indent - label_columns)
        padding = " " * max(0, label_columns - width(label))
        self._line(" " * indent + self._canvas.paint(label, "bold") + padding + lines[0])
        for line in lines[1:]:
            self._line(" " * (indent + label_columns) + line)

    def _troubles(self, reading: Reading) -> None:
        counters = reading.counters
        told = [
            ("page.damage", 1 if reading.damage else 0),
            ("page.cut", counters.cut),
            ("page.malformed", counters.malformed),
            ("page.links", sum(counters.unknown_links.values())),
            ("page.gaps", reading.gaps),
            ("page.left_out", reading.messages_left_out),
        ]
        for name, count in told:
            if count:
                self._paragraph(
                    f"{self._marks[Outcome.DEGRADED]} " + self._words.say(name, {"count": count}), 0, "yellow"
                )

    def _overview(self, story: Story, devices: tuple[str, ...]) -> None:
        words = self._words
        faulty = [each for each in devices if any(_troubled(one) for one in story.of(each))]
        values = {"devices": len(devices), "healthy": len(devices) - len(faulty), "faulty": len(faulty)}
        self._line()
        self._line(
            self._canvas.paint(words.say("page.devices", values), "bold", "red" if faulty else "green")
        )
        if not faulty:
            self._paragraph(words.say("page.healthy"), 0, "green")
            return
        counted: Counter[str] = Counter()
        first: dict[str, tuple[str, Finding]] = {}
        for each in devices:
            for exchange in story.of(each):
                for finding in exchange.findings:
                    if finding.severity is not Severity.HINT:
                        counted[finding.cause] += 1 + 1000 * (finding.severity is Severity.FAILURE)
                        first.setdefault(finding.cause, (each, finding))
        self._line(self._canvas.paint(words.say("page.verdict"), "bold"))
        for cause, _ in counted.most_common(MAX_VERDICTS):
            device_id, finding = first[cause]
            mark = self._marks[Outcome.FAILED if finding.severity is Severity.FAILURE else Outcome.DEGRADED]
            text = f"{printable(device_id)}  {self._say('what', finding)} {self._say('why', finding)}"
            lines = wrap(text, self._canvas.columns - 4)
            colour = "red" if finding.severity is Severity.FAILURE else "yellow"
            self._line("  " + self._canvas.paint(mark, colour) + " " + lines[0])
            for line in lines[1:]:
                self._line("    " + line)

    def _device(self, story: Story, device_id: str) -> None:
        exchanges = story.of(device_id)
        worst = _worst(exchanges)
        self._line()
        mark = self._canvas.paint(self._marks[worst], _COLOURS[worst])
        name = self._canvas.paint(self._words.say("page.device", {"id": printable(device_id)}), "bold")
        last = exchanges[-1]
        where = self._words.say("page.at", {"address": address(last.device)})
        towards = self._words.say("page.towards", {"address": address(last.platform)})
        rule = "-" if self._style.ascii else "─"
        self._line(self._canvas.paint(rule * self._canvas.columns, "dim"))
        self._line(f"{mark} {name}")
        self._paragraph(f"{where}, {towards}", 2, "dim")
        self._good(exchanges)
        self._bad(exchanges)

    def _good(self, exchanges: tuple[Exchange, ...]) -> None:
        for kind in ExchangeKind:
            fine = [each for each in exchanges if each.kind is kind and not _troubled(each)]
            by_outcome: dict[Outcome, list[Exchange]] = {}
            for each in fine:
                by_outcome.setdefault(each.outcome, []).append(each)
            for outcome, some in by_outcome.items():
                subjects = Counter(printable(each.subject) for each in some if each.subject)
                listed = ", ".join(
                    f"{name} {count}x" if count > 1 else name for name, count in subjects.most_common(4)
                )
                count = sum(int(each.params.get("count", 1)) for each in some)
                text = f"{self._words.say(f'kind.{kind.value}')}"
                if listed:
                    text += f" {listed}"
                elif count > 1:
                    text += f" {self._words.say('page.times', {'count': count})}"
                said = "" if outcome is Outcome.OK else f" ({self._words.say(f'outcome.{outcome.value}')})"
                mark = self._canvas.paint(self._marks[outcome], _COLOURS[outcome])
                self._line(f"  {mark} {text}{said}")
                self._hints(some)

    def _hints(self, exchanges: list[Exchange]) -> None:
        told: set[str] = set()
        for exchange in exchanges:
            for finding in exchange.findings:
                if finding.cause not in told:
                    told.add(finding.cause)
                    self._paragraph(f"{self._say('what', finding)} {self._say('why', finding)}", 6, "dim")

    def _bad(self, exchanges: tuple[Exchange, ...]) -> None:
        groups: dict[tuple[str, ...], list[Exchange]] = {}
        for each in exchanges:
            if _troubled(each):
                causes = tuple(finding.cause.value for finding in each.findings)
                groups.setdefault((each.kind.value, each.subject, *causes), []).append(each)
        for same in groups.values():
            self._line()
            self._exchange(same[0], with_ladder=self._ladders < MAX_LADDERS, indent=2)
            self._ladders += 1
            if len(same) > 1:
                self._line()
                self._paragraph(self._words.say("page.more", {"count": len(same) - 1}), 4, "dim")

    def _exchange(self, exchange: Exchange, *, with_ladder: bool, indent: int = 0) -> None:
        words, outcome = self._words, exchange.outcome
        mark = self._canvas.paint(self._marks[outcome], _COLOURS[outcome])
        kind = words.say(f"kind.{exchange.kind.value}")
        subject = f" {printable(exchange.subject)}" if exchange.subject else ""
        state, when = words.say(f"outcome.{outcome.value}"), clock(exchange.started_at)
        room = self._canvas.columns - indent - 6 - width(state) - width(when)
        head = self._canvas.paint(fit(f"{kind}{subject}", min(room, width(kind + subject))), "bold")
        state, when = self._canvas.paint(state, _COLOURS[outcome]), self._canvas.paint(when, "dim")
        self._line(f"{' ' * indent}{mark} {head}  {state}  {when}")
        labels = [words.say(f"page.{name}") for name in ("failing_hop", "cause", "check")]
        columns = max(map(width, labels)) + 2
        for finding in exchange.findings:
            self._finding(finding, labels, indent + 4, columns)
        if with_ladder:
            self._line()
            canvas = Canvas(self._canvas.columns - indent - 4, self._canvas.colours)
            for line in ladder(exchange, words, canvas, self._style):
                self._line(" " * (indent + 4) + line)

    def _finding(self, finding: Finding, labels: list[str], indent: int, columns: int) -> None:
        styles = {
            Severity.FAILURE: ("red", "bold"),
            Severity.WARNING: ("yellow", "bold"),
            Severity.HINT: ("dim",),
        }
        self._paragraph(self._say("what", finding), indent, *styles[finding.severity])
        if finding.severity is not Severity.HINT:
            self._labelled(labels[0], self._words.say(f"hop.{finding.hop.value}"), indent, columns)
        self._labelled(labels[1], self._say("why", finding), indent, columns)
        self._labelled(labels[2], self._words.say(f"check.{finding.check.value}"), indent, columns)
        if finding.evidence:
            numbers = ", ".join(f"#{number}" for number in finding.evidence[:8])
            self._line(
                " " * indent
                + self._canvas.paint(self._words.say("page.evidence", {"numbers": numbers}), "dim")
            )

    def _loose(self, story: Story) -> None:
        if not story.flows:
            return
        self._line()
        self._line(self._canvas.paint(self._words.say("page.loose_flows"), "bold"))
        for flow in story.flows[:MAX_FLOWS]:
            arrow = "->" if self._style.ascii else "→"
            ends = f"{address(flow.source)} {arrow} {address(flow.target)}"
            self._paragraph(f"{ends}  {flow_text(flow, self._words)}", 2)

    def _say(self, part: str, finding: Finding) -> str:
        return say(self._words, part, finding)


def say(words: Words, part: str, finding: Finding) -> str:
    """`what` or `why` of a finding; its values come from the network and are made safe."""
    params: Params = {
        key: printable(each) if isinstance(each, str) else each for key, each in finding.params.items()
    }
    return words.say(f"cause.{finding.cause.value}.{part}", params)


def _troubled(exchange: Exchange) -> bool:
    return any(finding.severity is not Severity.HINT for finding in exchange.findings)


def _worst(exchanges: tuple[Exchange, ...]) -> Outcome:
    outcomes = {each.outcome for each in exchanges}
    for outcome in (Outcome.FAILED, Outcome.DEGRADED, Outcome.OK):
        if outcome in outcomes:
            return outcome
    return Outcome.UNFINISHED
