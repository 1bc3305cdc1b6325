"""What the tester may say to the person at the terminal."""

from commonview.foundation.errors import CommonviewError


class ConformanceError(CommonviewError):
    """The run cannot begin; the message says what to change."""

    default_code = "conformance_failed"


class Skip(Exception):
    """A procedure cannot go on: every check it has not judged is skipped for this reason."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en = en
        self.zh = zh
