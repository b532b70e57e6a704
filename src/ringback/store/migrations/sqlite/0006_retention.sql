-- How far each walk over the log has come: rows up to there were looked at, and are gone or in `kept_events`.
ALTER TABLE meta ADD COLUMN payloads_reached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN events_reached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN history_reached INTEGER NOT NULL DEFAULT 0;

-- Events that a walk had to leave: `since` is when the last delivery finished, or when one was last seen unfinished.
CREATE TABLE kept_events (
    walk TEXT NOT NULL,
    since INTEGER NOT NULL,
    event_row INTEGER NOT NULL,
    PRIMARY KEY (walk, since, event_row)
) STRICT, WITHOUT ROWID;

-- When a lane was last held; NULL where it is not.
ALTER TABLE lanes ADD COLUMN held_since INTEGER;
-- Of what is held already nobody knows since when: it counts from now.
UPDATE lanes SET held_since = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE held = 1;
CREATE INDEX lanes_held ON lanes (held_since, due_at) WHERE held = 1 AND deleted = 0 AND due_at IS NOT NULL;
