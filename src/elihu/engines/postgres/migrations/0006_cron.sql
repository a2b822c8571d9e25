-- Cron entries, the ticks that were fired, and when a first node last started.
CREATE TABLE elihu.cron (
  name text COLLATE "C" PRIMARY KEY,
  declared jsonb,                                     -- what the code declares; NULL for an entry made at run time
  changes jsonb NOT NULL DEFAULT '{}',                -- what was set at run time: laid over it, value by value
  paused boolean NOT NULL DEFAULT false,
  rev integer NOT NULL DEFAULT 0,                     -- raised by each change: a tick is fired for what was read, or not at all
  last_tick timestamptz NOT NULL DEFAULT now(),       -- ticks up to here are settled
  fired_at timestamptz,
  job_id bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE elihu.cron_tick (
  cron text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  job_id bigint NOT NULL,
  inserted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (cron, at)                              -- one job a tick, enforced
);
CREATE INDEX cron_tick_age ON elihu.cron_tick (inserted_at);

CREATE TABLE elihu.boot (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  at timestamptz NOT NULL
);
