"""`commonview explain`: exit status, languages, JSON, and no secret anywhere."""

import json
from pathlib import Path

import pytest

from commonview.cli import main
from tests.explain.faults import FAULTS
from tests.explain.script import DEVICE

WRONG = next(capture for name, capture, _, _ in FAULTS if name == "wrong_password")


@pytest.fixture
def capture(tmp_path: Path) -> str:
    file = tmp_path / "wrong password.pcap"
    file.write_bytes(WRONG)
    return str(file)


def test_faults_are_told_and_are_no_failure_of_the_command(
    capture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", capture, "--language", "en"]) == 0
    page = capsys.readouterr().out
    assert "Failing hop   authentication" in page
    assert "Enter the password of this device again" in page
    assert "\x1b" not in page


def test_it_speaks_chinese(capture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", capture, "--language", "zh"]) == 0
    assert "故障环节  鉴权" in capsys.readouterr().out


def test_json_has_stable_words_and_sentences(capture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", capture, "--json", "--language", "en", "--device", DEVICE]) == 0
    document = json.loads(capsys.readouterr().out)
    (exchange,) = document["exchanges"]
    finding = exchange["findings"][0]
    assert (exchange["outcome"], finding["cause"], finding["hop"]) == (
        "failed",
        "wrong_password",
        "authentication",
    )
    assert finding["text"]["check"].startswith("Enter the password")


def test_whole_messages_are_shown_redacted(capture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", capture, "--bodies"]) == 0
    page = capsys.readouterr().out
    assert 'response="***"' in page


def test_a_device_that_is_not_there_is_said(capture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", capture, "--device", "34020000001110000002", "--language", "en"]) == 0
    assert "does not appear" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a capture"])
def test_an_unreadable_file_is_status_2_and_a_sentence(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(content)
    assert main(["explain", str(file)]) == 2
    assert main(["explain", str(tmp_path / "none.pcap")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("commonview: ") == 2
