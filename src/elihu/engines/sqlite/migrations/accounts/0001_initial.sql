-- readable_from: 1
-- Who may use the page and the JSON API. Names are unique as their case-folded key. Of tokens and
-- keys only digests are stored, of passwords only Argon2id.

CREATE TABLE account_user (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  password TEXT,
  role TEXT NOT NULL CHECK (role IN ('view', 'run', 'edit', 'admin')),
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  preferences TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  signed_in_at REAL
) STRICT;

-- A signed-in browser. digest is the SHA-256 of its token.
CREATE TABLE account_session (
  digest BLOB PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES account_user ON DELETE CASCADE,
  created_at REAL NOT NULL,
  seen_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  address TEXT,
  browser TEXT
) STRICT;
CREATE INDEX account_session_user ON account_session (user_id);
CREATE INDEX account_session_end ON account_session (expires_at);

-- A key of a program. areas are the parts of the API that it may use; NULL for all.
CREATE TABLE account_key (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES account_user ON DELETE CASCADE,
  name TEXT NOT NULL,
  digest BLOB NOT NULL UNIQUE,
  start TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('view', 'run', 'edit', 'admin')),
  areas TEXT,
  created_at REAL NOT NULL,
  expires_at REAL,
  used_at REAL
) STRICT;
CREATE INDEX account_key_user ON account_key (user_id);

-- Attempts to sign in since the window began, by user, address or both.
CREATE TABLE account_limit (
  subject TEXT PRIMARY KEY,
  attempts INTEGER NOT NULL,
  begun_at REAL NOT NULL
) STRICT;
CREATE INDEX account_limit_age ON account_limit (begun_at);

-- Who changed what. The user's name stays when the user is deleted.
CREATE TABLE account_audit (
  id TEXT PRIMARY KEY,
  at REAL NOT NULL,
  user_id TEXT,
  user_name TEXT NOT NULL,
  via TEXT NOT NULL,
  address TEXT,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_id TEXT,
  object_name TEXT,
  before TEXT,
  after TEXT
) STRICT;
CREATE INDEX account_audit_object ON account_audit (kind, object_id, id);
CREATE INDEX account_audit_user ON account_audit (user_name, id);
CREATE INDEX account_audit_age ON account_audit (at);

-- Answers to requests with an idempotency key. digest is that of the actor and the key.
CREATE TABLE account_request (
  digest BLOB PRIMARY KEY,
  asked BLOB NOT NULL,
  answer TEXT NOT NULL,
  answered_at REAL NOT NULL
) STRICT;
CREATE INDEX account_request_age ON account_request (answered_at);
