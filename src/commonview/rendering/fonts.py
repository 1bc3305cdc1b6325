"""Finding a font for the picture's captions: one with Chinese characters when the machine has any."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import ImageFont

_FOLDERS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
_CHINESE: Final = (
    "NotoSansCJK*-Regular*",
    "NotoSansCJK*-Bold*",
    "NotoSerifCJK*",
    "SourceHanSans*",
    "wqy-*",
    "msyh*",
    "simhei*",
    "PingFang*",
    "DroidSansFallback*",
)
_LATIN: Final = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "LiberationSans-Bold.ttf", "Arial*.ttf")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _files(patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for folder in _FOLDERS:
            yield from sorted(Path(folder).expanduser().rglob(pattern))


@functools.cache
def chinese_font_file() -> tuple[Path, int] | None:
    """A font file with Chinese characters and the face in it (the simplified one of a collection)."""
    for path in _files(_CHINESE):
        best: int | None = None
        for face in range(10):
            try:
                family = ImageFont.truetype(str(path), 12, index=face).getname()[0] or ""
            except OSError:
                break
            if best is None or family.endswith(" SC"):
                best = face
            if family.endswith(" SC"):
                break
        if best is not None:
            return path, best
    return None


def caption_font(size: int) -> Font:
    """The font for names: Chinese when found, else Latin."""
    found = chinese_font_file()
    if found is not None:
        return ImageFont.truetype(str(found[0]), size, index=found[1])
    return latin_font(size)


def latin_font(size: int) -> Font:
    """A font for digits and Latin letters; Pillow's own when the machine has none."""
    for path in _files(_LATIN):
        try:
            return ImageFont.truetype(str(path), size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def drawable(text: str) -> str:
    """`text` without the characters for which no font was found, so that no empty boxes are drawn."""
    if chinese_font_file() is not None:
        return text
    return " ".join("".join(each if ord(each) < 0x2E80 else " " for each in text).split())
