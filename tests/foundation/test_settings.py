from pathlib import Path

import pytest

from commonview.cli.settings_flags import given_settings
from commonview.foundation.settings import ConfigurationError, Settings, group_of, load_settings


def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "commonview.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default(
    tmp_path: Path,
) -> None:
    file = _toml(tmp_path, "http_port = 1\nsip_port = 1\nmedia_port = 1\n")
    environment = {"COMMONVIEW_HTTP_PORT": "2", "COMMONVIEW_SIP_PORT": "2"}
    settings = load_settings({"http_port": "3"}, config=file, environ=environment)
    found = (settings.http_port, settings.sip_port, settings.media_port, settings.rtp_port_min)
    assert found == (3, 2, 1, 30000)


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = _toml(tmp_path, "sip_port = 7\n")
    assert load_settings(environ={"COMMONVIEW_CONFIG": str(file)}).sip_port == 7


def test_a_wrong_value_names_setting_source_flag_and_variable() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ={"COMMONVIEW_HTTP_PORT": "seventy"})
    for part in ("http_port", "'seventy'", "the environment", "--http-port", "COMMONVIEW_HTTP_PORT"):
        assert part in caught.value.message


def test_an_unknown_name_in_the_file_is_refused_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    file = _toml(tmp_path, "sip_port = 7\nhttp_prot = 9\n")
    with pytest.raises(ConfigurationError, match=r"line 2 .*http_prot.*did you mean http_port") as caught:
        load_settings(config=file, environ={})
    assert str(file) in caught.value.message


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        load_settings(config=_toml(tmp_path, "sip_port = 7\nhttp_port = = 9\n"), environ={})


def test_a_missing_or_undecodable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_settings(config=tmp_path / "absent.toml", environ={})
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"sip_port = 7 # \xff")
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 15"):
        load_settings(config=broken, environ={})


@pytest.mark.parametrize(
    "flags",
    [
        {"http_port": "65536"},
        {"sip_id": "123"},
        {"rtp_port_min": "30000", "rtp_port_max": "30000"},
        {"grant_default_s": "7200", "grant_max_s": "3600"},
        {"default_media_transport": "carrier-pigeon"},
        {"public_url": "ftp://x"},
        {"public_url": "https://x/with/path"},
        {"keepalive_misses": "0"},
        {"trusted_proxies": "127.0.0.1, nonsense"},
    ],
)
def test_values_that_make_no_sense_are_refused(flags: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        load_settings(flags, environ={})


def test_every_setting_is_explained_and_grouped() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert group_of(name)


def test_every_setting_is_a_flag_in_the_help_with_default_and_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from commonview.cli import main

    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert f"COMMONVIEW_{name.upper()}" in text
        assert " ".join(str(field.description).split()) in text


def test_a_flag_reaches_its_setting() -> None:
    import argparse

    from commonview.cli.settings_flags import add_setting_flags

    parser = argparse.ArgumentParser()
    add_setting_flags(parser)
    arguments = parser.parse_args(["--rtp-port-max", "31999", "--data-dir", "elsewhere"])
    assert given_settings(arguments) == {"rtp_port_max": "31999", "data_dir": "elsewhere"}


def test_docs_settings_says_what_the_program_says() -> None:
    from commonview.cli.settings_document import settings_document

    document = Path(__file__).parents[2] / "docs" / "settings.md"
    assert document.read_text(encoding="utf-8") == settings_document(), (
        "run: python -m commonview.cli.settings_document > docs/settings.md"
    )
