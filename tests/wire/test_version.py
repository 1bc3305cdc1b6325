"""Editions: what X-GB-Ver means, and what is spoken with whom."""

import pytest

from commonview.wire.charset import GB2312, GB18030
from commonview.wire.version import GbVersion, effective


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.0", GbVersion.V2011),
        ("1.1", GbVersion.V2011S),
        ("2.0", GbVersion.V2016),
        ("3.0", GbVersion.V2022),
        (" 3.0 ", GbVersion.V2022),
        ("2.1", GbVersion.V2016),
        ("4.0", GbVersion.V2022),
        ("0.9", None),
        ("3", None),
        ("", None),
        (None, None),
        ("3.0.0", None),
        ("9999.0", None),
    ],
)
def test_x_gb_ver_is_read(text: str | None, version: GbVersion | None) -> None:
    assert GbVersion.parse(text) is version


@pytest.mark.parametrize("version", GbVersion)
def test_x_gb_ver_is_written_as_it_is_read(version: GbVersion) -> None:
    assert GbVersion.parse(version.header) is version


def test_the_earlier_edition_is_spoken_and_an_untold_one_counts_as_2016() -> None:
    assert effective(GbVersion.V2022, GbVersion.V2016) is GbVersion.V2016
    assert effective(GbVersion.V2016, GbVersion.V2022) is GbVersion.V2016
    assert effective(GbVersion.V2022, None) is GbVersion.V2016
    assert effective(GbVersion.V2022, GbVersion.V2022) is GbVersion.V2022


def test_each_edition_has_its_charset() -> None:
    assert [each.charset for each in GbVersion] == [GB2312, GB2312, GB2312, GB18030]
