"""What stable words say to people, in English and Chinese.

The console shows the same texts: `web/src/i18n/*/diagnosis.json` are copies of the files here, and a test
compares them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES: Final = {"en": "en.json", "zh": "zh-CN.json"}


class Words:
    """The texts of one language, by dotted name."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = _texts(language)

    def say(self, name: str, params: Mapping[str, object] | None = None) -> str:
        """The text called `name` with its values; the name itself when nobody has written it."""
        found: Any = self._texts
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, str):
            return name
        return found.format_map(_Values(params or {}))


class _Values(dict[str, object]):
    """Values for a text; one that is missing shows as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"


@cache
def _texts(language: str) -> dict[str, Any]:
    text = files(__package__).joinpath(LANGUAGES[language]).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["diagnosis"]
    return found
