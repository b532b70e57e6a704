-- A business' own event types. `cost`: what checking against the schema costs, as reckoned when it was saved.
-- `changed`: the version of the configuration that brought it. The long columns come last.
CREATE TABLE event_types (
    business_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    changed INTEGER NOT NULL,
    deprecated INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    cost TEXT NOT NULL,
    description TEXT NOT NULL,
    example TEXT NOT NULL,
    schema TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_types_by_name ON event_types (business_id, event_type);
