"""PostgreSQL, version 14 or later, through asyncpg."""
