-- readable_from: 1
-- Times are Unix seconds in UTC, REAL. Each is the double nearest to a whole number of
-- microseconds, so that it comes back from a datetime as it went in. SQLite 3.40 has no 'subsec';
-- julianday() counts in milliseconds.
-- AUTOINCREMENT: the id of a removed job is never used again.
-- A time lies within Python's calendar, by a day: else one row written by SQL would make whatever
-- reads it fail, and its neighbours with it. The same holds for counters at the limit of their type.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES
  ('installation_id', lower(
    hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
    || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))));

CREATE TABLE node (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  started_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  info TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(info)),
  CHECK (started_at BETWEEN -62135510400.0 AND 253402128000.0)
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
  claim INTEGER NOT NULL DEFAULT 0,  -- raised by each fetch, never lowered; the guard is (id, node, claim)
  orphans INTEGER NOT NULL DEFAULT 0,
  awaited INTEGER NOT NULL DEFAULT 0 CHECK (awaited IN (0, 1)),  -- a caller waits: announce the end
  intent TEXT CHECK (intent IN ('kill', 'cancel')),
  node TEXT,
  args TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(args)),
  options TEXT CHECK (options IS NULL OR json_valid(options)),
  meta TEXT CHECK (meta IS NULL OR json_valid(meta)),
  tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  unique_key TEXT,
  unique_scope INTEGER CHECK (unique_scope IN (0, 1, 2)),  -- 0 incomplete, 1 and completed, 2 all
  inserted_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  scheduled_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  expires_at REAL,
  occurrence REAL,
  started_at REAL,
  finished_at REAL,
  result TEXT CHECK (result IS NULL OR json_valid(result)),
  reason TEXT,
  progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
  keep_until REAL,  -- pruning waits for it: uniqueness that covers finished jobs
  template TEXT,
  identifier TEXT,
  prune_at REAL,  -- when the pruner reads the finished job; NULL: past the shortest age of its state
  CHECK (claim BETWEEN 0 AND 2000000000 AND attempt BETWEEN 0 AND 2000000000 AND max_attempts <= 2000000000),
  CHECK (inserted_at BETWEEN -62135510400.0 AND 253402128000.0 AND scheduled_at BETWEEN -62135510400.0 AND 253402128000.0
    AND expires_at BETWEEN -62135510400.0 AND 253402128000.0 AND started_at BETWEEN -62135510400.0 AND 253402128000.0
    AND finished_at BETWEEN -62135510400.0 AND 253402128000.0 AND keep_until BETWEEN -62135510400.0 AND 253402128000.0
    AND prune_at BETWEEN -62135510400.0 AND 253402128000.0),
  CHECK ((unique_key IS NULL) = (unique_scope IS NULL)),
  CHECK (state <> 'executing' OR (node IS NOT NULL AND started_at IS NOT NULL)),
  CHECK ((state IN ('completed', 'discarded', 'cancelled')) = (finished_at IS NOT NULL))
) STRICT;

CREATE INDEX job_fetch ON job (queue, priority, scheduled_at, id) WHERE state = 'available';
CREATE INDEX job_stage ON job (scheduled_at, id) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX job_running ON job (node, id) WHERE state = 'executing';
CREATE INDEX job_prune ON job (prune_at) WHERE prune_at IS NOT NULL AND state IN ('completed', 'discarded', 'cancelled');
CREATE INDEX job_finished ON job (state, finished_at) WHERE prune_at IS NULL AND state IN ('completed', 'discarded', 'cancelled');
CREATE INDEX job_suspended ON job (id) WHERE state = 'suspended';
CREATE INDEX job_failed ON job (state, finished_at, id) WHERE state IN ('discarded', 'cancelled');
CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'available');
CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2
  OR state IN ('suspended', 'scheduled', 'available', 'executing', 'retryable') OR (unique_scope = 1 AND state = 'completed'));
CREATE UNIQUE INDEX job_identifier ON job (identifier) WHERE identifier IS NOT NULL;

CREATE TABLE run (
  job_id INTEGER NOT NULL,
  claim INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  node TEXT,
  started_at REAL NOT NULL,
  ended_at REAL NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN
    ('completed', 'failed', 'killed', 'timed_out', 'orphaned', 'cancelled', 'snoozed', 'stopped', 'returned')),
  reason TEXT,
  error TEXT,
  error_type TEXT,  -- module:qualname of the exception; whoever waits for the job raises the same type
  traceback TEXT,
  log TEXT,
  CHECK (started_at BETWEEN -62135510400.0 AND 253402128000.0 AND ended_at BETWEEN -62135510400.0 AND 253402128000.0),
  PRIMARY KEY (job_id, claim)
) STRICT, WITHOUT ROWID;

-- Overrides of queue settings: for every node, or for one. NULL leaves the node's configuration.
CREATE TABLE queue (
  name TEXT PRIMARY KEY,
  served INTEGER CHECK (served IN (0, 1)),
  slots INTEGER CHECK (slots BETWEEN 1 AND 10000),
  paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE node_queue (
  node TEXT NOT NULL,
  queue TEXT NOT NULL,
  served INTEGER CHECK (served IN (0, 1)),
  slots INTEGER CHECK (slots BETWEEN 1 AND 10000),
  paused INTEGER CHECK (paused IN (0, 1)),
  PRIMARY KEY (node, queue)
) STRICT, WITHOUT ROWID;

-- In place of a foreign key, which SQLite checks only where a connection asks for it.
CREATE TRIGGER node_queue_ends_with_node AFTER DELETE ON node BEGIN DELETE FROM node_queue WHERE node = OLD.id; END;

-- Cron entries. declared is what the code declares, NULL for an entry made at run time. changes has
-- what was set at run time and replaces values of declared. digest is the digest of declared, as in
-- the info of the nodes; digests has those of all declarations in the order of their first appearance. Ticks up to last_tick are settled. rev is
-- raised by each change: a tick is fired only for the revision that was read.
CREATE TABLE cron (
  name TEXT PRIMARY KEY,
  declared TEXT CHECK (declared IS NULL OR json_valid(declared)),
  digest TEXT,
  digests TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(digests)),
  changes TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(changes)),
  paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
  rev INTEGER NOT NULL DEFAULT 0,
  last_tick REAL NOT NULL,
  fired_at REAL,
  job_id INTEGER,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  CHECK (last_tick BETWEEN -62135510400.0 AND 253402128000.0 AND fired_at BETWEEN -62135510400.0 AND 253402128000.0
    AND created_at BETWEEN -62135510400.0 AND 253402128000.0 AND updated_at BETWEEN -62135510400.0 AND 253402128000.0)
) STRICT, WITHOUT ROWID;

-- The primary key enforces one job for each tick.
CREATE TABLE cron_tick (
  cron TEXT NOT NULL,
  at REAL NOT NULL,
  job_id INTEGER NOT NULL,
  inserted_at REAL NOT NULL,
  PRIMARY KEY (cron, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX cron_tick_age ON cron_tick (inserted_at);

-- When a first node last started.
CREATE TABLE boot (single INTEGER PRIMARY KEY CHECK (single = 1), at REAL NOT NULL) STRICT;

-- Templates. revision changes with every write and is never used again, so that a write can check
-- what it was made from. synced is the revision that the last synchronisation with the code wrote,
-- NULL where a person made the row.
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
  updated_at REAL NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0),
  CHECK (inserted_at BETWEEN -62135510400.0 AND 253402128000.0 AND updated_at BETWEEN -62135510400.0 AND 253402128000.0)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX template_page ON template (display_order, code);

-- On which records a trigger with once has acted: a row is written in the action's own transaction.
-- digest is that of the record's key, its tenant and the action's input. period is that of the
-- trigger when it acted, in seconds, NULL for ever.
CREATE TABLE trigger_ledger (
  trigger TEXT NOT NULL,
  digest TEXT NOT NULL,
  acted_at REAL NOT NULL,
  period REAL,
  PRIMARY KEY (trigger, digest)
) STRICT, WITHOUT ROWID;

-- How many attempts ended in each minute (period 60) or hour (period 3600), and histograms of how
-- many milliseconds they ran and their jobs waited: run_N counts those below 4^N, the last one all
-- longer ones. A minute has a row for each writer.
CREATE TABLE rollup (
  period INTEGER NOT NULL CHECK (period IN (60, 3600)),
  at REAL NOT NULL,
  queue TEXT NOT NULL,
  task TEXT NOT NULL,
  outcome TEXT NOT NULL,
  writer TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  run_ms INTEGER NOT NULL,
  wait_ms INTEGER NOT NULL,
  run_0 INTEGER NOT NULL, run_1 INTEGER NOT NULL, run_2 INTEGER NOT NULL, run_3 INTEGER NOT NULL,
  run_4 INTEGER NOT NULL, run_5 INTEGER NOT NULL, run_6 INTEGER NOT NULL, run_7 INTEGER NOT NULL,
  run_8 INTEGER NOT NULL, run_9 INTEGER NOT NULL, run_10 INTEGER NOT NULL, run_11 INTEGER NOT NULL,
  run_12 INTEGER NOT NULL, run_13 INTEGER NOT NULL, wait_0 INTEGER NOT NULL,
  wait_1 INTEGER NOT NULL, wait_2 INTEGER NOT NULL, wait_3 INTEGER NOT NULL,
  wait_4 INTEGER NOT NULL, wait_5 INTEGER NOT NULL, wait_6 INTEGER NOT NULL,
  wait_7 INTEGER NOT NULL, wait_8 INTEGER NOT NULL, wait_9 INTEGER NOT NULL,
  wait_10 INTEGER NOT NULL, wait_11 INTEGER NOT NULL, wait_12 INTEGER NOT NULL,
  wait_13 INTEGER NOT NULL,
  PRIMARY KEY (period, at, queue, task, outcome, writer)
) STRICT, WITHOUT ROWID;
