"""Bodies of the import: rows of a table that operators filled in, and what came of each."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from commonview.api.schemas import Answer, Request

Cell = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)]


class RowOutcome(StrEnum):
    """What came of a row; in a trial, what would."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RowFault(StrEnum):
    """Why a row is refused."""

    CHANNEL_UNKNOWN = "channel_unknown"
    TEXT_INVALID = "text_invalid"
    COORDINATE_INVALID = "coordinate_invalid"
    POSITION_INCOMPLETE = "position_incomplete"
    GROUP_INVALID = "group_invalid"
    TWICE = "twice"


class ImportRow(Request):
    """One line of the table as it was written; an empty cell leaves a field as it is.

    `groups` are paths from the root such as `North/Gates`; the camera is put into each, and groups that are
    missing are made.
    """

    row: Annotated[int, Field(ge=1, le=2_000_000)]
    device_id: Cell
    gb_id: Cell
    name: Cell = ""
    place: Cell = ""
    longitude: Cell = ""
    latitude: Cell = ""
    groups: list[Cell] = Field(default=[], max_length=16)


class ImportRows(Request):
    """Some lines of a table; `dry_run` only tells what would happen."""

    dry_run: bool
    rows: list[ImportRow] = Field(min_length=1, max_length=200)


class ImportedRow(Answer):
    """What came of one line; `field` is the column a fault is in."""

    row: int
    outcome: RowOutcome
    fault: RowFault | None
    field: str


class ImportedRows(Answer):
    """What came of each line, in their order."""

    rows: list[ImportedRow]
