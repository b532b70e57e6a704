-- A master key that still opens what it sealed; nothing is sealed with it any more.
CREATE TABLE retired_keys (
    key_id BLOB PRIMARY KEY,
    retired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The ids of the master keys a life of the node has, the one it seals with first, in hexadecimal.
ALTER TABLE nodes ADD COLUMN master_keys TEXT NOT NULL DEFAULT '';

CREATE INDEX secrets_expiring ON secrets (expires_at) WHERE expires_at IS NOT NULL;
