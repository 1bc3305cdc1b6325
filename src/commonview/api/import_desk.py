"""Imports on the books: who brought which file, what came of it, and what a crash cut short."""

import asyncio
from functools import partial

from anyio import to_thread

from commonview.network.tree.sheets import ImportFailure, ImportJob, ImportState, RowField
from commonview.security import SecurityService, Subject

_OUTCOMES = {
    ImportState.APPLIED: "done",
    ImportState.CANCELLED: "cancelled",
    ImportState.FAILED: "failed",
}


class ImportBooks:
    """Writes the end of every import that was being applied into the audit log."""

    def __init__(self, security: SecurityService) -> None:
        self._security = security
        self._subjects: dict[str, Subject] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def begins(self, import_id: str, subject: Subject) -> None:
        """This import is going to be applied in somebody's name."""
        self._subjects[import_id] = subject

    def on_ended(self, job: ImportJob) -> None:
        """An import is not being applied any more; given to the network room as its listener."""
        interrupted = job.failure is ImportFailure.INTERRUPTED
        outcome = "interrupted" if interrupted else _OUTCOMES.get(job.state, job.state.value)
        counts = job.counts
        self._write(
            self._subjects.pop(job.id, None),
            job.id,
            outcome,
            sha256=job.sha256,
            rows=counts.rows,
            applied=counts.applied,
            enrolled=counts.enrol,
            changed=counts.change,
            unchanged=counts.unchanged,
            refused=counts.refused,
            passwords=counts.changes.get(RowField.PASSWORD, 0),
        )

    def found_interrupted(self, left: tuple[dict[str, str | int], ...]) -> None:
        """What a former process was applying when it ended without a word."""
        for one in left:
            said = dict(one)
            self._write(None, str(said.pop("import_id", "")), "interrupted", **said)

    def _write(
        self, subject: Subject | None, import_id: str, outcome: str, **detail: str | int | float | bool | None
    ) -> None:
        record = partial(
            self._security.record, subject, "import.apply", f"import/{import_id}", outcome, **detail
        )
        task = asyncio.ensure_future(to_thread.run_sync(record))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def drain(self) -> None:
        """Wait until everything is written."""
        while self._writing:
            await asyncio.wait(list(self._writing))
