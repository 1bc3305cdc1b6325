"""Editions of GB/T 28181 and the header that tells them: X-GB-Ver (2022 Annex I).

The newer side must avoid what the older cannot read, so the effective edition between two peers is the
earlier of theirs. A peer that does not tell is taken for 2016: most of what is fielded, and it never told.
"""

import re
from enum import IntEnum
from typing import Final, Self

from commonview.wire.charset import GB2312, GB18030

HEADER: Final = "X-GB-Ver"
_NUMBERED = re.compile(r"\s*([0-9]{1,3})\.([0-9]{1,3})\s*")


class GbVersion(IntEnum):
    """The editions in order: 2011, its supplement, 2016, 2022."""

    V2011 = 10
    V2011S = 11
    V2016 = 20
    V2022 = 30

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The edition that an X-GB-Ver value means, None when absent or unreadable.

        A number between two editions means the earlier, one beyond the last means the last.
        """
        found = _NUMBERED.fullmatch(text or "")
        if found is None:
            return None
        told = (int(found[1]), int(found[2]))
        known = [each for each in cls if divmod(each, 10) <= told]
        return max(known) if known else None

    @property
    def header(self) -> str:
        """The value of X-GB-Ver: "3.0" for 2022."""
        return f"{self // 10}.{self % 10}"

    @property
    def charset(self) -> str:
        """GB18030 for 2022 (6.10 "shall"), GB2312 for the earlier ones."""
        return GB18030 if self >= GbVersion.V2022 else GB2312


ASSUMED: Final = GbVersion.V2016
"""What a peer that sends no readable X-GB-Ver is taken for."""


def effective(ours: GbVersion, theirs: GbVersion | None) -> GbVersion:
    """The edition to speak with a peer: the earlier of the two; an untold one counts as 2016."""
    return min(ours, ASSUMED if theirs is None else theirs)
