-- readable_from: 1
-- Who may use the page and the JSON API. Names are unique as their case-folded key. Of tokens and
-- keys only digests are stored, of passwords only Argon2id.

CREATE TABLE elihu.account_user (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  name_key text NOT NULL UNIQUE,
  password text,
  role text NOT NULL CHECK (role IN ('view', 'run', 'edit', 'admin')),
  enabled boolean NOT NULL,
  preferences text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  signed_in_at timestamptz
);

-- A signed-in browser. digest is the SHA-256 of its token.
CREATE TABLE elihu.account_session (
  digest bytea PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES elihu.account_user ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  address text,
  browser text
);
CREATE INDEX account_session_user ON elihu.account_session (user_id);
CREATE INDEX account_session_end ON elihu.account_session (expires_at);

-- A key of a program. areas are the parts of the API that it may use; NULL for all.
CREATE TABLE elihu.account_key (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES elihu.account_user ON DELETE CASCADE,
  name text NOT NULL,
  digest bytea NOT NULL UNIQUE,
  start text NOT NULL,
  role text NOT NULL CHECK (role IN ('view', 'run', 'edit', 'admin')),
  areas text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  used_at timestamptz
);
CREATE INDEX account_key_user ON elihu.account_key (user_id);

-- Attempts to sign in since the window began, by user, address or both.
CREATE TABLE elihu.account_limit (
  subject text PRIMARY KEY,
  attempts integer NOT NULL,
  begun_at timestamptz NOT NULL
);
CREATE INDEX account_limit_age ON elihu.account_limit (begun_at);

-- Who changed what. The user's name stays when the user is deleted.
CREATE TABLE elihu.account_audit (
  id uuid PRIMARY KEY,
  at timestamptz NOT NULL,
  user_id uuid,
  user_name text NOT NULL,
  via text NOT NULL,
  address text,
  action text NOT NULL,
  kind text NOT NULL,
  object_id text,
  object_name text,
  before text,
  after text
);
CREATE INDEX account_audit_object ON elihu.account_audit (kind, object_id, id);
CREATE INDEX account_audit_user ON elihu.account_audit (user_name, id);
CREATE INDEX account_audit_age ON elihu.account_audit (at);

-- Answers to requests with an idempotency key. digest is that of the actor and the key.
CREATE TABLE elihu.account_request (
  digest bytea PRIMARY KEY,
  asked bytea NOT NULL,
  answer text NOT NULL,
  answered_at timestamptz NOT NULL
);
CREATE INDEX account_request_age ON elihu.account_request (answered_at);
