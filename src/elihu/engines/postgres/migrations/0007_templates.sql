-- Job kinds in the database. revision changes with every write and never comes again, so that a write can tell what it was made from; synced
-- tells what the last synchronisation with the code wrote, NULL where a person made the row.
CREATE TABLE elihu.template (
  code text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  task text COLLATE "C" NOT NULL,
  queue text COLLATE "C" NOT NULL,
  schema json NOT NULL,
  default_timeout float8 CHECK (default_timeout > 0),
  default_max_attempts integer NOT NULL CHECK (default_max_attempts >= 1),
  active boolean NOT NULL DEFAULT true,
  display_order integer NOT NULL DEFAULT 0,
  revision text COLLATE "C" NOT NULL,
  synced text COLLATE "C",
  inserted_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX template_page ON elihu.template (display_order, code);
