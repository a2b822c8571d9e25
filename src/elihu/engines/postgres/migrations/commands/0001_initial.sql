-- readable_from: 1
-- The command scheduler. Names of people are unique as their case-folded key. Ids are UUIDs of
-- version 7, so that the order of ids is that of insertion. version counts the changes of a row.
-- active_since and since are when a row or link began to count: ticks before are not missed ones.

CREATE TABLE elihu.command_environment (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text NOT NULL UNIQUE,
  enabled boolean NOT NULL,
  active_since timestamptz NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE elihu.command (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text NOT NULL UNIQUE,
  shell_command text NOT NULL,
  enabled boolean NOT NULL,
  timeout double precision NOT NULL CHECK (timeout > 0),
  max_attempts integer NOT NULL CHECK (max_attempts >= 1),
  overlap text NOT NULL CHECK (overlap IN ('skip', 'queue_one', 'queue_all', 'cancel_running', 'allow')),
  mode text NOT NULL CHECK (mode IN ('shell', 'argv')),
  working_directory text,
  output_limit bigint NOT NULL,
  rerun_lost boolean NOT NULL,
  keep_background boolean NOT NULL,
  memory_limit bigint,
  cpu_seconds bigint,
  open_files bigint,
  active_since timestamptz NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE elihu.command_cron (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text NOT NULL UNIQUE,
  expression text NOT NULL,
  timezone text NOT NULL,
  enabled boolean NOT NULL,
  active_since timestamptz NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE elihu.command_schedule (
  id uuid PRIMARY KEY,
  command_id uuid NOT NULL REFERENCES elihu.command ON DELETE CASCADE,
  enabled boolean NOT NULL,
  catch_up text NOT NULL CHECK (catch_up IN ('none', 'last', 'all')),
  active_since timestamptz NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX command_schedule_command ON elihu.command_schedule (command_id, id);

CREATE TABLE elihu.command_schedule_environment (
  schedule_id uuid NOT NULL REFERENCES elihu.command_schedule ON DELETE CASCADE,
  environment_id uuid NOT NULL REFERENCES elihu.command_environment ON DELETE CASCADE,
  position integer NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (schedule_id, environment_id)
);
CREATE INDEX command_schedule_environment_other ON elihu.command_schedule_environment (environment_id);

CREATE TABLE elihu.command_schedule_cron (
  schedule_id uuid NOT NULL REFERENCES elihu.command_schedule ON DELETE CASCADE,
  cron_id uuid NOT NULL REFERENCES elihu.command_cron ON DELETE CASCADE,
  position integer NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (schedule_id, cron_id)
);
CREATE INDEX command_schedule_cron_other ON elihu.command_schedule_cron (cron_id);

-- secret is encrypted. A variable has a value or a secret; without environments it holds for all.
CREATE TABLE elihu.command_variable (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  description text NOT NULL,
  value text,
  secret text,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CHECK ((value IS NULL) <> (secret IS NULL))
);
CREATE INDEX command_variable_name ON elihu.command_variable (name);

CREATE TABLE elihu.command_variable_environment (
  variable_id uuid NOT NULL REFERENCES elihu.command_variable ON DELETE CASCADE,
  environment_id uuid NOT NULL REFERENCES elihu.command_environment ON DELETE CASCADE,
  PRIMARY KEY (variable_id, environment_id)
);
CREATE INDEX command_variable_environment_other ON elihu.command_variable_environment (environment_id);

-- One run of a command. What people may change or delete is kept as it was. job_id is NULL while
-- the run waits for another one to end. admitted: the rule of overlap has let it through. token is
-- the attempt that may write; kill_reason is set where a kill was requested.
CREATE TABLE elihu.command_job (
  id uuid PRIMARY KEY,
  command_id uuid REFERENCES elihu.command ON DELETE SET NULL,
  command_name text NOT NULL,
  schedule_id uuid REFERENCES elihu.command_schedule ON DELETE SET NULL,
  environment_id uuid REFERENCES elihu.command_environment ON DELETE SET NULL,
  environment_name text NOT NULL,
  cron_id uuid REFERENCES elihu.command_cron ON DELETE SET NULL,
  cron_expression text,
  shell_command text NOT NULL,
  mode text NOT NULL CHECK (mode IN ('shell', 'argv')),
  job_id bigint UNIQUE,
  source text NOT NULL CHECK (source IN ('schedule', 'now', 'later', 'retry')),
  forced boolean NOT NULL,
  admitted boolean NOT NULL,
  occurrence timestamptz,
  status text NOT NULL CHECK (status IN ('queued', 'running', 'retrying', 'succeeded', 'failed', 'timed_out',
    'killed', 'skipped', 'lost', 'cancelled')),
  reason text,
  attempt integer NOT NULL,
  max_attempts integer NOT NULL,
  token uuid,
  node text,
  kill_reason text,
  exit_code integer,
  signal integer,
  peak_memory bigint,
  cpu_time double precision,
  dropped_bytes bigint,
  created_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  late_at timestamptz,
  long_at timestamptz
);
CREATE UNIQUE INDEX command_job_occurrence ON elihu.command_job (schedule_id, environment_id, cron_id, occurrence)
  WHERE occurrence IS NOT NULL;
CREATE INDEX command_job_command ON elihu.command_job (command_id, id);
CREATE INDEX command_job_environment ON elihu.command_job (environment_id, id);
CREATE INDEX command_job_pair ON elihu.command_job (command_id, environment_id, status, id);
CREATE INDEX command_job_schedule ON elihu.command_job (schedule_id);
CREATE INDEX command_job_cron ON elihu.command_job (cron_id);
CREATE INDEX command_job_status ON elihu.command_job (status, id);
CREATE INDEX command_job_active ON elihu.command_job (id) WHERE status IN ('queued', 'running', 'retrying');

-- What happened to a run, an attempt at a time. stdout and stderr are excerpts; command_output has all.
CREATE TABLE elihu.command_event (
  id uuid PRIMARY KEY,
  command_job_id uuid NOT NULL REFERENCES elihu.command_job ON DELETE CASCADE,
  command_id uuid REFERENCES elihu.command ON DELETE SET NULL,
  attempt integer NOT NULL,
  status text NOT NULL CHECK (status IN ('started', 'succeeded', 'failed', 'timed_out', 'killed', 'skipped', 'lost')),
  reason text,
  exit_code integer,
  signal integer,
  started_at timestamptz,
  finished_at timestamptz,
  duration_ms bigint,
  stdout text NOT NULL,
  stderr text NOT NULL
);
CREATE INDEX command_event_command ON elihu.command_event (command_id, id);
CREATE INDEX command_event_job ON elihu.command_event (command_job_id, id);

CREATE TABLE elihu.command_output (
  command_job_id uuid NOT NULL REFERENCES elihu.command_job ON DELETE CASCADE,
  attempt integer NOT NULL,
  sequence integer NOT NULL,
  stream text NOT NULL CHECK (stream IN ('stdout', 'stderr')),
  data bytea NOT NULL,
  written_at timestamptz NOT NULL,
  PRIMARY KEY (command_job_id, attempt, sequence)
);

-- events: words with commas between them. secret is encrypted.
CREATE TABLE elihu.command_alert (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text NOT NULL UNIQUE,
  events text NOT NULL,
  channel text NOT NULL CHECK (channel IN ('webhook', 'email')),
  target text NOT NULL,
  secret text,
  enabled boolean NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE elihu.command_alert_command (
  alert_id uuid NOT NULL REFERENCES elihu.command_alert ON DELETE CASCADE,
  command_id uuid NOT NULL REFERENCES elihu.command ON DELETE CASCADE,
  PRIMARY KEY (alert_id, command_id)
);
CREATE INDEX command_alert_command_other ON elihu.command_alert_command (command_id);

CREATE TABLE elihu.command_alert_environment (
  alert_id uuid NOT NULL REFERENCES elihu.command_alert ON DELETE CASCADE,
  environment_id uuid NOT NULL REFERENCES elihu.command_environment ON DELETE CASCADE,
  PRIMARY KEY (alert_id, environment_id)
);
CREATE INDEX command_alert_environment_other ON elihu.command_alert_environment (environment_id);

-- When an alert last reported an event of a command in an environment, and how many it has held
-- back since. command_job_id is the newest of those.
CREATE TABLE elihu.command_alert_quiet (
  alert_id uuid NOT NULL REFERENCES elihu.command_alert ON DELETE CASCADE,
  command_id uuid NOT NULL REFERENCES elihu.command ON DELETE CASCADE,
  environment_id uuid NOT NULL REFERENCES elihu.command_environment ON DELETE CASCADE,
  event text NOT NULL,
  sent_at timestamptz NOT NULL,
  held integer NOT NULL,
  command_job_id uuid,
  PRIMARY KEY (alert_id, command_id, environment_id, event)
);

-- The newest tick up to which schedules are dispatched.
CREATE TABLE elihu.command_dispatch (
  single integer PRIMARY KEY CHECK (single = 1),
  up_to timestamptz
);
INSERT INTO elihu.command_dispatch (single) VALUES (1);
