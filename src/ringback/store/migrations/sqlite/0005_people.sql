-- Ids of the audit log become ids of time, as the log's are: a walk can begin and end at a time.
UPDATE audit SET id = (at << 20) + id;
CREATE INDEX audit_by_object ON audit (business_id, object, id);

CREATE TABLE users (
    user_id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT,
    role TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_sign_in_at INTEGER
) STRICT;
CREATE INDEX users_owners ON users (user_id) WHERE role = 'owner' AND enabled = 1;

-- `digest` is of the cookie's token. Nothing is let in from `ends_at` on.
CREATE TABLE sessions (
    session_id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    network TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, session_id);
CREATE INDEX sessions_by_end ON sessions (ends_at);

-- Wrong passwords in a row: of an account (a digest) from an address, of either alone where the other is empty.
CREATE TABLE wrong_passwords (
    account BLOB NOT NULL,
    address TEXT NOT NULL,
    wrong INTEGER NOT NULL,
    wait_until INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX wrong_passwords_by_time ON wrong_passwords (last_at);

-- The one-time link with which the first owner is made.
CREATE TABLE welcome (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    digest BLOB NOT NULL
) STRICT;
