-- Job kinds in the database. revision changes with every write and never comes again, so that a write can tell what it was made from; synced
-- tells what the last synchronisation with the code wrote, NULL where a person made the row.
CREATE TABLE template (
  code TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  task TEXT NOT NULL,
  queue TEXT NOT NULL,
  schema TEXT NOT NULL CHECK (json_valid(schema)),
  default_timeout REAL CHECK (default_timeout > 0),
  default_max_attempts INTEGER NOT NULL CHECK (default_max_attempts >= 1),
  active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
  display_order INTEGER NOT NULL DEFAULT 0,
  revision TEXT NOT NULL,
  synced TEXT,
  inserted_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  updated_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX template_page ON template (display_order, code);
