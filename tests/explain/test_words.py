"""Every stable word is said in both languages, with the same values, and the console says the same."""

import io
import json
import re
from pathlib import Path

import pytest

from commonview.explain import (
    Canvas,
    Cause,
    Check,
    ExchangeKind,
    Hop,
    Outcome,
    Report,
    Severity,
    Words,
    read_capture_from,
    tell,
)
from commonview.explain.canvas import fit, printable, width, wrap
from tests.explain.faults import FAULTS

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "src" / "commonview" / "explain" / "words"
FILES = {"en": "en", "zh": "zh-CN"}


def flat(tree: object, path: str = "") -> dict[str, str]:
    if isinstance(tree, str):
        return {path: tree}
    assert isinstance(tree, dict)
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= flat(value, f"{path}.{key}".lstrip("."))
    return found


def load(name: str) -> dict[str, str]:
    return flat(json.loads((WORDS / f"{name}.json").read_text(encoding="utf-8"))["diagnosis"])


@pytest.mark.parametrize("language", FILES)
def test_every_word_is_said(language: str) -> None:
    words = load(FILES[language])
    for cause in Cause:
        assert {f"cause.{cause}.what", f"cause.{cause}.why"} <= words.keys()
    for group, enum in (
        ("check", Check),
        ("hop", Hop),
        ("kind", ExchangeKind),
        ("outcome", Outcome),
        ("severity", Severity),
    ):
        assert {name.partition(".")[2] for name in words if name.startswith(f"{group}.")} == set(enum)


def test_both_languages_say_the_same_with_the_same_values() -> None:
    english, chinese = load("en"), load("zh-CN")
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", chinese[name])), name


@pytest.mark.parametrize("language", FILES.values())
def test_the_console_has_the_same_words(language: str) -> None:
    ours = WORDS / f"{language}.json"
    theirs = ROOT / "web" / "src" / "i18n" / language / "diagnosis.json"
    assert json.loads(theirs.read_text(encoding="utf-8")) == json.loads(ours.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", FILES)
@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("name", [each[0] for each in FAULTS])
def test_no_line_is_wider_than_the_page_and_no_value_is_missing(
    name: str, columns: int, language: str
) -> None:
    capture = next(each[1] for each in FAULTS if each[0] == name)
    reading = read_capture_from(io.BytesIO(capture))
    story = tell(reading.recording)
    page = Report(Words(language), Canvas(columns)).capture("x.pcap", reading, story, None)
    assert [line for line in page.splitlines() if width(line) > columns] == []
    assert "{" not in page
    for exchange in story.exchanges:
        for each in exchange.findings:
            text = load(FILES[language])[f"cause.{each.cause}.what"]
            assert set(re.findall(r"\{(\w+)\}", text)) <= set(each.params), each.cause


def test_width_counts_chinese_characters_twice() -> None:
    assert (width("北门 1"), width("é")) == (6, 1)
    assert width(fit("北门摄像机", 6)) == 6
    assert wrap("北门摄像机，南门", 14) == ["北门摄像机，", "南门"]


def test_what_comes_from_the_network_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[31m\u202eb\r\n") == "a\ufffd[31m\ufffdb\ufffd\ufffd"


def test_colours_only_where_wanted() -> None:
    reading = read_capture_from(io.BytesIO(FAULTS[0][1]))
    story = tell(reading.recording)
    assert "\x1b" not in Report(Words("en"), Canvas(100)).capture("x", reading, story, None)
    assert "\x1b[31m" in Report(Words("en"), Canvas(100, colours=True)).capture("x", reading, story, None)
