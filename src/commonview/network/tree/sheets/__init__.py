"""Bulk import and export of devices and channels: CSV and XLSX, a dry run before every change."""

from commonview.network.tree.sheets.columns import Column, Language
from commonview.network.tree.sheets.model import (
    MAX_ROWS,
    MAX_UPLOAD_BYTES,
    ExportBusy,
    ImportBusy,
    ImportCounts,
    ImportFailure,
    ImportJob,
    ImportNotReady,
    ImportState,
    ImportUnknown,
    RowField,
    RowProblem,
    RowReport,
    TableFormat,
    UploadRefused,
    Verdict,
)

__all__ = [
    "MAX_ROWS",
    "MAX_UPLOAD_BYTES",
    "Column",
    "ExportBusy",
    "ImportBusy",
    "ImportCounts",
    "ImportFailure",
    "ImportJob",
    "ImportNotReady",
    "ImportState",
    "ImportUnknown",
    "Language",
    "RowField",
    "RowProblem",
    "RowReport",
    "TableFormat",
    "UploadRefused",
    "Verdict",
]
