"""How often SQLite tries to copy the write-ahead log into the database.

By itself it tries after each commit that leaves more than 1,000 pages in the log, and
each try sorts all pages of the log. While another connection reads an old state nothing
may be copied, so that the log grows and each commit becomes dearer. So a long log is tried once
a second, and by commits again only when it is twice as long.
"""

import sqlite3
from pathlib import Path
from typing import Final

PAGES: Final = 1_000
"""Pages of the log from which each commit tries."""
WAL_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the log that stay when it begins anew. A log is longer only where nothing may be
copied.
"""


def adapt(connection: sqlite3.Connection, path: Path) -> None:
    """Decide when the next commits of this connection try. Call it once a second while
    there is work, outside a transaction.
    """
    pages = PAGES
    try:
        if Path(f"{path}-wal").stat().st_size > WAL_LIMIT:
            _, logged, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if copied < logged:
                pages = 2 * logged
    except FileNotFoundError:
        pass
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchone()
