-- "RBK1": tells a ringback database from any other SQLite file.
PRAGMA application_id = 1380076337;

-- One row. `configuration` grows with every change that a publish could notice, `keys_changed` is its value
-- at the last change of an API key. `clock_lead` is how many ms ids have ever run ahead of the clock.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    configuration INTEGER NOT NULL,
    keys_changed INTEGER NOT NULL,
    clock_lead INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 1, 1, 1000);

CREATE TABLE nodes (
    node_id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    left_at INTEGER
) STRICT;

-- ---------------------------------------------------------------- configuration

CREATE TABLE businesses (
    business_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    external_id TEXT,
    enabled INTEGER NOT NULL,
    payload_validation TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    changed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX businesses_by_external_id ON businesses (external_id) WHERE deleted_at IS NULL;
CREATE INDEX businesses_by_change ON businesses (changed);

CREATE TABLE integrations (
    integration_id INTEGER PRIMARY KEY,
    business_id INTEGER NOT NULL,
    type TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    settings TEXT NOT NULL,
    sealed_headers BLOB,
    state TEXT NOT NULL,
    state_reason TEXT,
    state_since INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX integrations_by_business ON integrations (business_id, integration_id);

CREATE TABLE secrets (
    secret_id INTEGER PRIMARY KEY,
    integration_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    sealed BLOB NOT NULL,
    ends_in TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX secrets_by_integration ON secrets (integration_id, secret_id);

-- What an integration wanted from an acceptance on: `since_id` is the first row id it applies to.
CREATE TABLE integration_history (
    integration_id INTEGER NOT NULL,
    since_id INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
    events TEXT NOT NULL,
    state TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (integration_id, since_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX integration_history_by_id ON integration_history (since_id);

CREATE TABLE api_keys (
    key_id INTEGER PRIMARY KEY,
    friendly_name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    business_ids TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    ends_in TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT,
    business_id INTEGER
) STRICT;
CREATE INDEX audit_by_business ON audit (business_id, id);

-- ---------------------------------------------------------------- the path of an event

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    business_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    fanout INTEGER NOT NULL,
    test INTEGER NOT NULL,
    schema_errors TEXT,
    data BLOB
) STRICT;
CREATE UNIQUE INDEX events_by_event_id ON events (business_id, event_id);
CREATE INDEX events_by_business ON events (business_id, id);
CREATE INDEX events_tests ON events (business_id, id) WHERE test = 1;

-- The deliveries of event E have the ids E+1 … E+fanout. `due_at` stays while a delivery is leased: a lease
-- given back waits where it waited. `manual`: the attempt it waits for was asked for by hand.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    event_row INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    due_at INTEGER,
    node_id INTEGER,
    epoch INTEGER,
    last_status INTEGER,
    last_failure TEXT,
    test INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state = 'sending') = (node_id IS NOT NULL AND epoch IS NOT NULL)),
    CHECK ((state IN ('queued', 'retrying', 'sending')) = (due_at IS NOT NULL)),
    CHECK ((state IN ('delivered', 'dead', 'cancelled')) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (integration_id, due_at, id)
    WHERE state IN ('queued', 'retrying');
CREATE INDEX deliveries_waiting_by_id ON deliveries (integration_id, state, id)
    WHERE state IN ('queued', 'retrying');
CREATE INDEX deliveries_leased ON deliveries (node_id, epoch) WHERE state = 'sending';
CREATE INDEX deliveries_by_integration ON deliveries (integration_id, id);
CREATE INDEX deliveries_by_business ON deliveries (business_id, id);
CREATE INDEX deliveries_dead ON deliveries (business_id, id) WHERE state = 'dead';
CREATE INDEX deliveries_cancelled ON deliveries (business_id, id) WHERE state = 'cancelled';
CREATE INDEX deliveries_by_failure ON deliveries (business_id, last_failure, id)
    WHERE last_failure IS NOT NULL;
-- 200 is left out so that the happy path does not pay for it.
CREATE INDEX deliveries_by_status ON deliveries (business_id, last_status, id) WHERE last_status <> 200;
CREATE INDEX deliveries_tests ON deliveries (business_id, id) WHERE test = 1;

CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    dns_ms REAL,
    connect_ms REAL,
    tls_ms REAL,
    first_byte_ms REAL,
    total_ms REAL NOT NULL,
    status INTEGER,
    failure TEXT,
    detail TEXT,
    truncated INTEGER NOT NULL,
    remote_address TEXT,
    http_version TEXT,
    signatures INTEGER NOT NULL,
    header_names TEXT NOT NULL,
    replay INTEGER NOT NULL,
    response_headers TEXT NOT NULL,
    response_body BLOB NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- One row per integration. `due_at` is never later than the first waiting delivery's, and NULL only where none waits.
CREATE TABLE lanes (
    integration_id INTEGER PRIMARY KEY,
    business_id INTEGER NOT NULL,
    held INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    due_at INTEGER
) STRICT;
CREATE INDEX lanes_due ON lanes (due_at) WHERE held = 0 AND due_at IS NOT NULL;
CREATE INDEX lanes_to_cancel ON lanes (integration_id) WHERE deleted = 1 AND due_at IS NOT NULL;
CREATE INDEX lanes_by_business ON lanes (business_id, integration_id) WHERE due_at IS NOT NULL;

-- ---------------------------------------------------------------- rollups: `grain` is a bucket's length in ms

-- Time comes first in their keys: what a commit adds for many businesses lies on few pages, and a reader, who
-- knows which buckets it wants, looks each of them up.

CREATE TABLE intake_stats (
    business_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    start INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (grain, start, business_id, event_type)
) STRICT, WITHOUT ROWID;

-- By the bucket of the delivery's creation. le_N: delivered within N ms, and not within the bound before it.
CREATE TABLE delivery_stats (
    business_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    start INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    first_try INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    le_1 INTEGER NOT NULL DEFAULT 0,
    le_2 INTEGER NOT NULL DEFAULT 0,
    le_3 INTEGER NOT NULL DEFAULT 0,
    le_5 INTEGER NOT NULL DEFAULT 0,
    le_7 INTEGER NOT NULL DEFAULT 0,
    le_10 INTEGER NOT NULL DEFAULT 0,
    le_15 INTEGER NOT NULL DEFAULT 0,
    le_20 INTEGER NOT NULL DEFAULT 0,
    le_30 INTEGER NOT NULL DEFAULT 0,
    le_50 INTEGER NOT NULL DEFAULT 0,
    le_75 INTEGER NOT NULL DEFAULT 0,
    le_100 INTEGER NOT NULL DEFAULT 0,
    le_150 INTEGER NOT NULL DEFAULT 0,
    le_200 INTEGER NOT NULL DEFAULT 0,
    le_300 INTEGER NOT NULL DEFAULT 0,
    le_500 INTEGER NOT NULL DEFAULT 0,
    le_1000 INTEGER NOT NULL DEFAULT 0,
    le_2000 INTEGER NOT NULL DEFAULT 0,
    le_5000 INTEGER NOT NULL DEFAULT 0,
    le_10000 INTEGER NOT NULL DEFAULT 0,
    le_30000 INTEGER NOT NULL DEFAULT 0,
    le_60000 INTEGER NOT NULL DEFAULT 0,
    le_600000 INTEGER NOT NULL DEFAULT 0,
    le_3600000 INTEGER NOT NULL DEFAULT 0,
    beyond INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (grain, start, business_id, integration_id, event_type)
) STRICT, WITHOUT ROWID;

-- By the bucket of the attempt's end. le_N: how long the attempt took.
CREATE TABLE attempt_stats (
    business_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    start INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    answers_2xx INTEGER NOT NULL DEFAULT 0,
    answers_3xx INTEGER NOT NULL DEFAULT 0,
    answers_4xx INTEGER NOT NULL DEFAULT 0,
    answers_5xx INTEGER NOT NULL DEFAULT 0,
    answers_none INTEGER NOT NULL DEFAULT 0,
    le_1 INTEGER NOT NULL DEFAULT 0,
    le_2 INTEGER NOT NULL DEFAULT 0,
    le_3 INTEGER NOT NULL DEFAULT 0,
    le_5 INTEGER NOT NULL DEFAULT 0,
    le_7 INTEGER NOT NULL DEFAULT 0,
    le_10 INTEGER NOT NULL DEFAULT 0,
    le_15 INTEGER NOT NULL DEFAULT 0,
    le_20 INTEGER NOT NULL DEFAULT 0,
    le_30 INTEGER NOT NULL DEFAULT 0,
    le_50 INTEGER NOT NULL DEFAULT 0,
    le_75 INTEGER NOT NULL DEFAULT 0,
    le_100 INTEGER NOT NULL DEFAULT 0,
    le_150 INTEGER NOT NULL DEFAULT 0,
    le_200 INTEGER NOT NULL DEFAULT 0,
    le_300 INTEGER NOT NULL DEFAULT 0,
    le_500 INTEGER NOT NULL DEFAULT 0,
    le_1000 INTEGER NOT NULL DEFAULT 0,
    le_2000 INTEGER NOT NULL DEFAULT 0,
    le_5000 INTEGER NOT NULL DEFAULT 0,
    le_10000 INTEGER NOT NULL DEFAULT 0,
    le_30000 INTEGER NOT NULL DEFAULT 0,
    le_60000 INTEGER NOT NULL DEFAULT 0,
    le_600000 INTEGER NOT NULL DEFAULT 0,
    le_3600000 INTEGER NOT NULL DEFAULT 0,
    beyond INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (grain, start, business_id, integration_id, event_type)
) STRICT, WITHOUT ROWID;

-- `status` 0: no answer. `failure` '': it succeeded. `number` stops at 21.
CREATE TABLE attempt_detail (
    business_id INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    start INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    failure TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (grain, start, business_id, integration_id, event_type, number, status, failure)
) STRICT, WITHOUT ROWID;
