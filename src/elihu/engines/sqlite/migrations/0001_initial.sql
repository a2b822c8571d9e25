-- Times are Unix seconds in UTC, REAL, each the double nearest to a whole number of microseconds, so that they survive a round trip
-- through a datetime. SQLite 3.40 has no 'subsec'; julianday() counts in milliseconds.
-- AUTOINCREMENT: the id of a job that was pruned is never handed out again.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE node (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  started_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  info TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(info))
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL DEFAULT 'available' CHECK (state IN
    ('suspended', 'scheduled', 'available', 'executing', 'retryable', 'completed', 'discarded', 'cancelled')),
  queue TEXT NOT NULL DEFAULT 'default',
  task TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 9),
  attempt INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 20 CHECK (max_attempts >= 1),
  claim INTEGER NOT NULL DEFAULT 0,
  orphans INTEGER NOT NULL DEFAULT 0,
  transactional INTEGER NOT NULL DEFAULT 0 CHECK (transactional IN (0, 1)),
  has_on_error INTEGER NOT NULL DEFAULT 0 CHECK (has_on_error IN (0, 1)),
  awaited INTEGER NOT NULL DEFAULT 0 CHECK (awaited IN (0, 1)),
  intent TEXT CHECK (intent IN ('kill', 'cancel', 'stop', 'on_error')),
  node TEXT,
  args TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(args)),
  options TEXT CHECK (options IS NULL OR json_valid(options)),
  meta TEXT CHECK (meta IS NULL OR json_valid(meta)),
  tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  unique_key TEXT,
  unique_scope INTEGER CHECK (unique_scope IN (0, 1, 2)),
  inserted_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  scheduled_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  expires_at REAL,
  started_at REAL,
  finished_at REAL,
  result TEXT CHECK (result IS NULL OR json_valid(result)),
  reason TEXT,
  progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
  keep_until REAL,
  CHECK ((unique_key IS NULL) = (unique_scope IS NULL)),
  CHECK (state <> 'executing' OR (node IS NOT NULL AND started_at IS NOT NULL)),
  CHECK ((state IN ('completed', 'discarded', 'cancelled')) = (finished_at IS NOT NULL))
) STRICT;

CREATE INDEX job_fetch ON job (queue, priority, scheduled_at, id) WHERE state = 'available';
CREATE INDEX job_stage ON job (scheduled_at, id) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX job_running ON job (node, id) WHERE state = 'executing';
CREATE INDEX job_finished ON job (state, finished_at) WHERE state IN ('completed', 'discarded', 'cancelled');
CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'available');
CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed'));

CREATE TABLE run (
  job_id INTEGER NOT NULL,
  claim INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  node TEXT,
  started_at REAL NOT NULL,
  ended_at REAL NOT NULL,
  result TEXT NOT NULL CHECK (result IN
    ('completed', 'failed', 'killed', 'timed_out', 'orphaned', 'cancelled', 'snoozed', 'stopped', 'returned')),
  reason TEXT,
  error TEXT,
  traceback TEXT,
  log TEXT,
  PRIMARY KEY (job_id, claim)
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES
  ('installation_id', lower(
    hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
    || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))));
