-- Cron entries, the ticks that were fired, and when a first node last started.
-- declared is NULL for an entry made at run time; changes is laid over it, value by value. Ticks up to last_tick are settled. rev is raised
-- by each change: a tick is fired for what was read, or not at all. The primary key of cron_tick enforces one job a tick.
CREATE TABLE cron (
  name TEXT PRIMARY KEY,
  declared TEXT CHECK (declared IS NULL OR json_valid(declared)),
  changes TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(changes)),
  paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
  rev INTEGER NOT NULL DEFAULT 0,
  last_tick REAL NOT NULL,
  fired_at REAL,
  job_id INTEGER,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cron_tick (
  cron TEXT NOT NULL,
  at REAL NOT NULL,
  job_id INTEGER NOT NULL,
  inserted_at REAL NOT NULL,
  PRIMARY KEY (cron, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX cron_tick_age ON cron_tick (inserted_at);

CREATE TABLE boot (single INTEGER PRIMARY KEY CHECK (single = 1), at REAL NOT NULL) STRICT;
