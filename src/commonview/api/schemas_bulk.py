"""Bodies of bulk import: the job, its counts, the verdicts on rows."""

from datetime import datetime

from commonview.api.schemas import Answer
from commonview.network.tree.sheets import ImportFailure, ImportState, RowField, RowProblem, Verdict


class RowReportOut(Answer):
    """The verdict on one row; `row` counts from 1, the header being the first. `key` is the id it names.

    `fields` are those that change. `problem`, `column` and `detail` say why it is refused.
    """

    row: int
    key: str
    verdict: Verdict
    fields: list[RowField]
    problem: RowProblem | None
    column: str
    detail: str


class ImportCountsOut(Answer):
    """Rows by verdict (`enrol` to `refused`), rows applied so far, and changes by field."""

    rows: int
    enrol: int
    change: int
    unchanged: int
    refused: int
    applied: int
    changes: dict[RowField, int]


class ImportOut(Answer):
    """One import as it stands. `progress`, 0 to 1, belongs to the state it is in.

    `message` is plain English beside `failure`. `ignored_columns` are headings that nothing is read from.
    """

    id: str
    state: ImportState
    file_name: str
    size_bytes: int
    sha256: str
    by: str
    started_at: datetime
    finished_at: datetime | None
    progress: float
    counts: ImportCountsOut
    failure: ImportFailure | None
    message: str
    ignored_columns: list[str]
    first_problems: list[RowReportOut]


class RowReportsPage(Answer):
    """Verdicts in the order of the file; `after` asks for those that follow, null at the end."""

    rows: list[RowReportOut]
    after: int | None
