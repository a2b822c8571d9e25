"""Classes and codes of PostgreSQL's errors
(https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from typing import Final

NO_TABLES: Final = frozenset({"42P01", "3F000", "42703"})
"""The tables are absent or older."""
REFUSED: Final = ("22", "23", "54", "P0")
"""A value cannot be stored."""
