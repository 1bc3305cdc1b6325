"""Which edition of GB/T 28181 a peer speaks: the X-GB-Ver header (GB/T 28181-2022 Annex I). Pure."""

from enum import StrEnum
from typing import Final


class GbVersion(StrEnum):
    """The editions in their order; the value is what X-GB-Ver says."""

    V2011 = "1.0"
    V2011S = "1.1"  # the supplement of 2014 to the edition of 2011
    V2016 = "2.0"
    V2022 = "3.0"


OURS: Final = GbVersion.V2022
"""The edition this program speaks among its equals."""

UNTOLD: Final = GbVersion.V2016
"""What a peer is taken for that names no version: the header is new in 2022."""


def effective_version(told: str | None, ours: GbVersion = OURS) -> GbVersion:
    """The edition to speak with a peer: the older of both (Annex I).

    ``told`` is the peer's X-GB-Ver; an unknown or absent one counts as 2016, one newer than ours as ours.
    """
    if not told:
        return min(UNTOLD, ours)
    known = [version for version in GbVersion if version <= told]
    return min(known[-1], ours) if known else GbVersion.V2011
