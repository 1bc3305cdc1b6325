"""Civil codes: the tree of administrative divisions (GB/T 2260), 2, 4, 6 or 8 digits (GB/T 28181 A.2.1.2).

Two digits are a province, four a city, six a district, eight what lies below. The names of the provinces are
known here; deeper divisions go by their codes, and by the names that catalogues bring.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from commonview.wire.gbid import is_region, trim_region


class CivilLevel(IntEnum):
    """How deep a division lies; the value is the number of digits."""

    PROVINCE = 2
    CITY = 4
    DISTRICT = 6
    LOCAL = 8


@dataclass(frozen=True, slots=True)
class Province:
    """A division of the first level with its names."""

    code: str
    name_zh: str
    name_en: str


PROVINCES: Final[dict[str, Province]] = {
    each.code: each
    for each in (
        Province("11", "北京市", "Beijing"),
        Province("12", "天津市", "Tianjin"),
        Province("13", "河北省", "Hebei"),
        Province("14", "山西省", "Shanxi"),
        Province("15", "内蒙古自治区", "Inner Mongolia"),
        Province("21", "辽宁省", "Liaoning"),
        Province("22", "吉林省", "Jilin"),
        Province("23", "黑龙江省", "Heilongjiang"),
        Province("31", "上海市", "Shanghai"),
        Province("32", "江苏省", "Jiangsu"),
        Province("33", "浙江省", "Zhejiang"),
        Province("34", "安徽省", "Anhui"),
        Province("35", "福建省", "Fujian"),
        Province("36", "江西省", "Jiangxi"),
        Province("37", "山东省", "Shandong"),
        Province("41", "河南省", "Henan"),
        Province("42", "湖北省", "Hubei"),
        Province("43", "湖南省", "Hunan"),
        Province("44", "广东省", "Guangdong"),
        Province("45", "广西壮族自治区", "Guangxi"),
        Province("46", "海南省", "Hainan"),
        Province("50", "重庆市", "Chongqing"),
        Province("51", "四川省", "Sichuan"),
        Province("52", "贵州省", "Guizhou"),
        Province("53", "云南省", "Yunnan"),
        Province("54", "西藏自治区", "Xizang"),
        Province("61", "陕西省", "Shaanxi"),
        Province("62", "甘肃省", "Gansu"),
        Province("63", "青海省", "Qinghai"),
        Province("64", "宁夏回族自治区", "Ningxia"),
        Province("65", "新疆维吾尔自治区", "Xinjiang"),
        Province("71", "台湾省", "Taiwan"),
        Province("81", "香港特别行政区", "Hong Kong"),
        Province("82", "澳门特别行政区", "Macao"),
    )
}


def civil_code(text: str) -> str | None:
    """The division that a catalogue's CivilCode or the centre of an identifier means, in its shortest form.

    Unused lower levels ("00" pairs) are cut off: 340200 is the city 3402. None when the text is no code: not
    2, 4, 6 or 8 digits (the first 8 of a 20-digit identifier are taken), or below no province.
    """
    digits = text.strip()
    if len(digits) == 20:
        digits = digits[:8]
    if not is_region(digits) or not digits.isascii():
        return None
    trimmed = trim_region(digits)
    return trimmed if trimmed is not None and trimmed[:2] in PROVINCES else None


def level_of(code: str) -> CivilLevel:
    """The level of a shortest code. Raises `ValueError` for any other text."""
    if civil_code(code) != code:
        raise ValueError(f"not a civil code in its shortest form: {code[:40]!r}")
    return CivilLevel(len(code))


def parent_of(code: str) -> str | None:
    """The division above, None for a province. Raises `ValueError` as `level_of`.

    A level may be skipped: 34020001 lies in 340200, which is the city 3402.
    """
    level_of(code)
    return trim_region(code[:-2])


def ancestors_of(code: str) -> tuple[str, ...]:
    """The divisions above, province first. Raises `ValueError` as `level_of`."""
    above: list[str] = []
    parent = parent_of(code)
    while parent is not None:
        above.insert(0, parent)
        parent = parent_of(parent)
    return tuple(above)


def province_of(code: str) -> Province | None:
    """The province of any code or 20-digit identifier, None when it lies in none."""
    return PROVINCES.get(code[:2])
