"""Where the sample tools keep their data: one SQLite file. Holds no table and no rule of any agent.

Tools run in worker threads and several calls may run the same tool at once. So nothing is shared between
them: each transaction opens its own connection, takes the write lock before it reads, and closes again.
"""

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

PATH_VARIABLE = "SWITCHBOARD_SAMPLES_DB"

# Long enough for a queue of callers behind one write lock, shorter than a tool's own limit of 20 seconds.
_LOCK_TIMEOUT_SECONDS = 10


def database_path() -> Path:
    """Say where the data is: `SWITCHBOARD_SAMPLES_DB`, or a file in the system's temporary directory."""
    return Path(os.environ.get(PATH_VARIABLE) or Path(tempfile.gettempdir(), "switchboard-samples.sqlite3"))


@contextmanager
def transaction(schema: str) -> Iterator[sqlite3.Connection]:
    """Open the database for one transaction: committed at the end of the block, undone if it raises.

    `schema` is SQL that may run any number of times (`CREATE TABLE IF NOT EXISTS …`). `BEGIN IMMEDIATE` makes
    a second transaction wait until this one is over, so what the block has read stays true while it writes.
    """
    connection = sqlite3.connect(database_path(), timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
    with closing(connection):
        connection.row_factory = sqlite3.Row
        connection.executescript(f"BEGIN IMMEDIATE; {schema}")
        with connection:
            yield connection


def new_reference(connection: sqlite3.Connection, table: str) -> str:
    """Draw six digits that no row of `table` has as its `reference`; hard to guess and easy to say."""
    while True:
        reference = str(100_000 + secrets.randbelow(900_000))
        if not connection.execute(f"SELECT 1 FROM {table} WHERE reference = ?", [reference]).fetchone():
            return reference
