-- readable_from: 1
-- The command scheduler. Names of people are unique as their case-folded key. Ids are UUIDs of
-- version 7, so that the order of ids is that of insertion. version counts the changes of a row.
-- active_since and since are when a row or link began to count: ticks before are not missed ones.
-- Times are Unix seconds, as in the tables of jobs.

CREATE TABLE command_environment (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  active_since REAL NOT NULL,
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;

CREATE TABLE command (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  shell_command TEXT NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  timeout REAL NOT NULL CHECK (timeout > 0),
  max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
  overlap TEXT NOT NULL CHECK (overlap IN ('skip', 'queue_one', 'queue_all', 'cancel_running', 'allow')),
  mode TEXT NOT NULL CHECK (mode IN ('shell', 'argv')),
  working_directory TEXT,
  output_limit INTEGER NOT NULL,
  rerun_lost INTEGER NOT NULL CHECK (rerun_lost IN (0, 1)),
  keep_background INTEGER NOT NULL CHECK (keep_background IN (0, 1)),
  memory_limit INTEGER,
  cpu_seconds INTEGER,
  open_files INTEGER,
  active_since REAL NOT NULL,
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;

CREATE TABLE command_cron (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  expression TEXT NOT NULL,
  timezone TEXT NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  active_since REAL NOT NULL,
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;

CREATE TABLE command_schedule (
  id TEXT PRIMARY KEY,
  command_id TEXT NOT NULL REFERENCES command ON DELETE CASCADE,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  catch_up TEXT NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
  active_since REAL NOT NULL,
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
CREATE INDEX command_schedule_command ON command_schedule (command_id, id);

CREATE TABLE command_schedule_environment (
  schedule_id TEXT NOT NULL REFERENCES command_schedule ON DELETE CASCADE,
  environment_id TEXT NOT NULL REFERENCES command_environment ON DELETE CASCADE,
  position INTEGER NOT NULL,
  since REAL NOT NULL,
  PRIMARY KEY (schedule_id, environment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX command_schedule_environment_other ON command_schedule_environment (environment_id);

CREATE TABLE command_schedule_cron (
  schedule_id TEXT NOT NULL REFERENCES command_schedule ON DELETE CASCADE,
  cron_id TEXT NOT NULL REFERENCES command_cron ON DELETE CASCADE,
  position INTEGER NOT NULL,
  since REAL NOT NULL,
  PRIMARY KEY (schedule_id, cron_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX command_schedule_cron_other ON command_schedule_cron (cron_id);

-- secret is encrypted. A variable has a value or a secret; without environments it holds for all.
CREATE TABLE command_variable (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  value TEXT,
  secret TEXT,
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  CHECK ((value IS NULL) <> (secret IS NULL))
) STRICT;
CREATE INDEX command_variable_name ON command_variable (name);

CREATE TABLE command_variable_environment (
  variable_id TEXT NOT NULL REFERENCES command_variable ON DELETE CASCADE,
  environment_id TEXT NOT NULL REFERENCES command_environment ON DELETE CASCADE,
  PRIMARY KEY (variable_id, environment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX command_variable_environment_other ON command_variable_environment (environment_id);

-- One run of a command. What people may change or delete is kept as it was. job_id is NULL while
-- the run waits for another one to end. admitted: the rule of overlap has let it through. token is
-- the attempt that may write; kill_reason is set where a kill was requested.
CREATE TABLE command_job (
  id TEXT PRIMARY KEY,
  command_id TEXT REFERENCES command ON DELETE SET NULL,
  command_name TEXT NOT NULL,
  schedule_id TEXT REFERENCES command_schedule ON DELETE SET NULL,
  environment_id TEXT REFERENCES command_environment ON DELETE SET NULL,
  environment_name TEXT NOT NULL,
  cron_id TEXT REFERENCES command_cron ON DELETE SET NULL,
  cron_expression TEXT,
  shell_command TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('shell', 'argv')),
  job_id INTEGER UNIQUE,
  source TEXT NOT NULL CHECK (source IN ('schedule', 'now', 'later', 'retry')),
  forced INTEGER NOT NULL CHECK (forced IN (0, 1)),
  admitted INTEGER NOT NULL CHECK (admitted IN (0, 1)),
  occurrence REAL,
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'retrying', 'succeeded', 'failed', 'timed_out',
    'killed', 'skipped', 'lost', 'cancelled')),
  reason TEXT,
  attempt INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  token TEXT,
  node TEXT,
  kill_reason TEXT,
  exit_code INTEGER,
  signal INTEGER,
  peak_memory INTEGER,
  cpu_time REAL,
  dropped_bytes INTEGER,
  created_at REAL NOT NULL,
  due_at REAL NOT NULL,
  started_at REAL,
  finished_at REAL,
  late_at REAL,
  long_at REAL
) STRICT;
CREATE UNIQUE INDEX command_job_occurrence ON command_job (schedule_id, environment_id, cron_id, occurrence)
  WHERE occurrence IS NOT NULL;
CREATE INDEX command_job_command ON command_job (command_id, id);
CREATE INDEX command_job_environment ON command_job (environment_id, id);
CREATE INDEX command_job_pair ON command_job (command_id, environment_id, status, id);
CREATE INDEX command_job_schedule ON command_job (schedule_id);
CREATE INDEX command_job_cron ON command_job (cron_id);
CREATE INDEX command_job_status ON command_job (status, id);
CREATE INDEX command_job_active ON command_job (id) WHERE status IN ('queued', 'running', 'retrying');

-- What happened to a run, an attempt at a time. stdout and stderr are excerpts; command_output has all.
CREATE TABLE command_event (
  id TEXT PRIMARY KEY,
  command_job_id TEXT NOT NULL REFERENCES command_job ON DELETE CASCADE,
  command_id TEXT REFERENCES command ON DELETE SET NULL,
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('started', 'succeeded', 'failed', 'timed_out', 'killed', 'skipped', 'lost')),
  reason TEXT,
  exit_code INTEGER,
  signal INTEGER,
  started_at REAL,
  finished_at REAL,
  duration_ms INTEGER,
  stdout TEXT NOT NULL,
  stderr TEXT NOT NULL
) STRICT;
CREATE INDEX command_event_command ON command_event (command_id, id);
CREATE INDEX command_event_job ON command_event (command_job_id, id);

CREATE TABLE command_output (
  command_job_id TEXT NOT NULL REFERENCES command_job ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  stream TEXT NOT NULL CHECK (stream IN ('stdout', 'stderr')),
  data BLOB NOT NULL,
  written_at REAL NOT NULL,
  PRIMARY KEY (command_job_id, attempt, sequence)
) STRICT, WITHOUT ROWID;

-- events: words with commas between them. secret is encrypted.
CREATE TABLE command_alert (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  events TEXT NOT NULL,
  channel TEXT NOT NULL CHECK (channel IN ('webhook', 'email')),
  target TEXT NOT NULL,
  secret TEXT,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  version INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;

CREATE TABLE command_alert_command (
  alert_id TEXT NOT NULL REFERENCES command_alert ON DELETE CASCADE,
  command_id TEXT NOT NULL REFERENCES command ON DELETE CASCADE,
  PRIMARY KEY (alert_id, command_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX command_alert_command_other ON command_alert_command (command_id);

CREATE TABLE command_alert_environment (
  alert_id TEXT NOT NULL REFERENCES command_alert ON DELETE CASCADE,
  environment_id TEXT NOT NULL REFERENCES command_environment ON DELETE CASCADE,
  PRIMARY KEY (alert_id, environment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX command_alert_environment_other ON command_alert_environment (environment_id);

-- When an alert last reported an event of a command in an environment, and how many it has held
-- back since. command_job_id is the newest of those.
CREATE TABLE command_alert_quiet (
  alert_id TEXT NOT NULL REFERENCES command_alert ON DELETE CASCADE,
  command_id TEXT NOT NULL REFERENCES command ON DELETE CASCADE,
  environment_id TEXT NOT NULL REFERENCES command_environment ON DELETE CASCADE,
  event TEXT NOT NULL,
  sent_at REAL NOT NULL,
  held INTEGER NOT NULL,
  command_job_id TEXT,
  PRIMARY KEY (alert_id, command_id, environment_id, event)
) STRICT, WITHOUT ROWID;

-- The newest tick up to which schedules are dispatched.
CREATE TABLE command_dispatch (
  single INTEGER PRIMARY KEY CHECK (single = 1),
  up_to REAL
) STRICT;
INSERT INTO command_dispatch (single) VALUES (1);
