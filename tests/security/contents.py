"""Everything a database holds, as one text."""

from sqlalchemy import text

from commonview.foundation.database import Database


def everything_in(db: Database) -> str:
    """Every value of every table that holds rows of its own; a search index is made of shadow tables."""
    found: list[str] = []
    with db.read() as conn:
        tables = conn.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        ).scalars()
        for name in tables.all():
            for row in conn.execute(text(f'SELECT * FROM "{name}"')):  # noqa: S608 - names of our own tables
                found += [str(value) for value in row]
    assert len(found) > 10
    return "\n".join(found)
