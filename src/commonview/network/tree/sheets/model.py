"""The words of bulk import and export: jobs, verdicts on rows, what is wrong with a row or a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from commonview.foundation.errors import CommonviewError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_UPLOAD_BYTES: Final = 64 * 1024 * 1024
MAX_ROWS: Final = 1_000_000


class TableFormat(StrEnum):
    """Kinds of file."""

    CSV = "csv"
    XLSX = "xlsx"


class ImportState(StrEnum):
    """How far a job has come. A checked one waits to be applied; the last three are final."""

    RECEIVING = "receiving"
    CHECKING = "checking"
    CHECKED = "checked"
    APPLYING = "applying"
    APPLIED = "applied"
    CANCELLED = "cancelled"
    FAILED = "failed"


FINAL: Final = frozenset({ImportState.APPLIED, ImportState.CANCELLED, ImportState.FAILED})


class Verdict(StrEnum):
    """What a row comes to."""

    ENROL = "enrol"  # a device that nobody knows yet
    CHANGE = "change"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class RowField(StrEnum):
    """What a row may change; the word of a column, of a change and of a problem."""

    NAME = "name"
    PLACE = "place"
    POSITION = "position"
    GROUPS = "groups"
    PASSWORD = "password"  # noqa: S105 - the name of a column


class RowProblem(StrEnum):
    """Why a row is refused."""

    DEVICE_ID_MISSING = "device_id_missing"
    ID_INVALID = "id_invalid"
    ID_AS_NUMBER = "id_as_number"
    DUPLICATE_ROW = "duplicate_row"
    DEVICE_UNKNOWN = "device_unknown"
    CHANNEL_UNKNOWN = "channel_unknown"
    TEXT_INVALID = "text_invalid"
    TOO_LONG = "too_long"
    COORDINATE_INVALID = "coordinate_invalid"
    COORDINATE_HALF = "coordinate_half"
    GROUP_UNKNOWN = "group_unknown"
    GROUP_AMBIGUOUS = "group_ambiguous"
    TOO_MANY_GROUPS = "too_many_groups"
    NOT_FOR_DEVICES = "not_for_devices"
    NOT_FOR_CHANNELS = "not_for_channels"
    NOT_FOR_ITS_PROTOCOL = "not_for_its_protocol"


class ImportFailure(StrEnum):
    """Why a whole job failed."""

    FILE_EMPTY = "file_empty"
    FILE_UNREADABLE = "file_unreadable"
    ENCODING_UNKNOWN = "encoding_unknown"
    ARCHIVE_TOO_LARGE = "archive_too_large"
    COLUMN_MISSING = "column_missing"
    COLUMN_TWICE = "column_twice"
    TOO_MANY_ROWS = "too_many_rows"
    STORAGE_FULL = "storage_full"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


class TableInvalid(Exception):
    """A file that cannot be read as a table, as a whole; the message is for people."""

    def __init__(self, failure: ImportFailure, message: str) -> None:
        super().__init__(message)
        self.failure, self.message = failure, message


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be, with the column that says so."""

    problem: RowProblem
    column: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WantedRow:
    """What a row asks for. ``gb_id`` is empty when it speaks of the device itself.

    ``fields`` holds what is told: a text, (longitude, latitude), ids of groups; ``None`` returns to the
    device's own word. What is not in it stays as it is.
    """

    row: int
    device_id: str
    gb_id: str
    fields: Mapping[RowField, Any]

    @property
    def key(self) -> str:
        """The channel's house-wide id, or the device's."""
        return f"{self.device_id}-{self.gb_id}" if self.gb_id else self.device_id


@dataclass(frozen=True, slots=True)
class RowReport:
    """The verdict on one row. ``row`` counts from 1, the header being the first."""

    row: int
    key: str
    verdict: Verdict
    fields: tuple[RowField, ...] = ()
    problem: RowProblem | None = None
    column: str = ""
    detail: str = ""


@dataclass(slots=True)
class ImportCounts:
    """Rows by verdict, changes by field, and how many rows are applied so far."""

    rows: int = 0
    enrol: int = 0
    change: int = 0
    unchanged: int = 0
    refused: int = 0
    applied: int = 0
    changes: dict[RowField, int] = field(default_factory=dict)

    def add(self, report: RowReport) -> None:
        """Count a verdict."""
        self.rows += 1
        self._step(report, 1)

    def move(self, before: RowReport, now: RowReport) -> None:
        """A row turned out otherwise when it was to be applied."""
        self._step(before, -1)
        self._step(now, 1)

    def _step(self, report: RowReport, step: int) -> None:
        setattr(self, report.verdict.value, getattr(self, report.verdict.value) + step)
        for one in report.fields:
            self.changes[one] = self.changes.get(one, 0) + step


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """One import as it stands. ``progress`` of 0 to 1 belongs to the state it is in."""

    id: str
    state: ImportState
    file_name: str
    size_bytes: int
    sha256: str
    by: str
    started_at: datetime
    finished_at: datetime | None
    progress: float
    counts: ImportCounts
    failure: ImportFailure | None = None
    message: str = ""
    ignored_columns: tuple[str, ...] = ()
    first_problems: tuple[RowReport, ...] = field(default=())


class ImportUnknown(CommonviewError):
    """There is no such import, or no longer."""

    default_code = "import_unknown"
    http_status = 404


class ImportBusy(CommonviewError):
    """Another import is under way or waits to be applied; there is one at a time."""

    default_code = "import_busy"
    http_status = 409


class ImportNotReady(CommonviewError):
    """The import is in a state in which this cannot be done."""

    default_code = "import_not_ready"
    http_status = 409


class ExportBusy(CommonviewError):
    """As many lists are being written as may be at once."""

    default_code = "export_busy"
    http_status = 429


class UploadRefused(CommonviewError):
    """The upload is larger than an import may be, or empty."""

    default_code = "import_upload_refused"
    http_status = 413
