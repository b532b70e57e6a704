-- What transactions count, they write here, by the minute; from here it is folded into the tables of the
-- charts by the minute, the hour and the day, many commits at once. Whoever reads adds both. So a commit writes
-- one row for what it counts, on few pages, however many grains there are and however much is stored.

CREATE TABLE intake_fresh (
    start INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    events INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (start, business_id, event_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery_fresh (
    start INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    first_try INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    first_ended INTEGER NOT NULL DEFAULT 0,
    first_succeeded INTEGER NOT NULL DEFAULT 0,
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
    PRIMARY KEY (start, business_id, integration_id, event_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_fresh (
    start INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
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
    slowest_ms INTEGER NOT NULL DEFAULT 0,
    last_success INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (start, business_id, integration_id, event_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE detail_fresh (
    start INTEGER NOT NULL,
    business_id INTEGER NOT NULL,
    integration_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    failure TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (start, business_id, integration_id, event_type, number, status, failure)
) STRICT, WITHOUT ROWID;

-- Of the deliveries created in the bucket: those whose first attempt, not one by hand, ended; and with success.
ALTER TABLE delivery_stats ADD COLUMN first_ended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery_stats ADD COLUMN first_succeeded INTEGER NOT NULL DEFAULT 0;

-- The longest of the bucket's attempts, rounded up, and the end of its last success.
ALTER TABLE attempt_stats ADD COLUMN slowest_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt_stats ADD COLUMN last_success INTEGER NOT NULL DEFAULT 0;

-- What was counted before: the new columns from the attempts, then the days from the hours.

INSERT INTO delivery_stats (grain, start, business_id, integration_id, event_type,
    first_ended, first_succeeded)
SELECT g.value, d.created_at - d.created_at % g.value, d.business_id, d.integration_id, d.event_type,
    count(*), sum(a.failure IS NULL)
FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN json_each('[60000, 3600000]') g
WHERE a.number = 1 AND NOT a.replay AND NOT d.test
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET first_ended = excluded.first_ended, first_succeeded = excluded.first_succeeded;

INSERT INTO attempt_stats (grain, start, business_id, integration_id, event_type, slowest_ms, last_success)
SELECT g.value, a.ended_at - a.ended_at % g.value, d.business_id, d.integration_id, d.event_type,
    max(CAST(ceil(a.total_ms) AS INTEGER)), max(iif(a.failure IS NULL, a.ended_at, 0))
FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN json_each('[60000, 3600000]') g
WHERE NOT a.replay AND NOT d.test
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET slowest_ms = excluded.slowest_ms, last_success = excluded.last_success;

INSERT INTO intake_stats (grain, start, business_id, event_type,
    events)
SELECT 86400000, start - start % 86400000, business_id, event_type,
    sum(events)
FROM intake_stats WHERE grain = 3600000 GROUP BY 1, 2, 3, 4;

INSERT INTO delivery_stats (grain, start, business_id, integration_id, event_type,
    created, delivered, first_try, dead, cancelled, first_ended, first_succeeded, le_1, le_2, le_3, le_5,
    le_7, le_10, le_15, le_20, le_30, le_50, le_75, le_100, le_150, le_200, le_300, le_500, le_1000,
    le_2000, le_5000, le_10000, le_30000, le_60000, le_600000, le_3600000, beyond)
SELECT 86400000, start - start % 86400000, business_id, integration_id, event_type,
    sum(created), sum(delivered), sum(first_try), sum(dead), sum(cancelled), sum(first_ended),
    sum(first_succeeded), sum(le_1), sum(le_2), sum(le_3), sum(le_5), sum(le_7), sum(le_10), sum(le_15),
    sum(le_20), sum(le_30), sum(le_50), sum(le_75), sum(le_100), sum(le_150), sum(le_200), sum(le_300),
    sum(le_500), sum(le_1000), sum(le_2000), sum(le_5000), sum(le_10000), sum(le_30000), sum(le_60000),
    sum(le_600000), sum(le_3600000), sum(beyond)
FROM delivery_stats WHERE grain = 3600000 GROUP BY 1, 2, 3, 4, 5;

INSERT INTO attempt_stats (grain, start, business_id, integration_id, event_type,
    succeeded, failed, answers_2xx, answers_3xx, answers_4xx, answers_5xx, answers_none, le_1, le_2, le_3,
    le_5, le_7, le_10, le_15, le_20, le_30, le_50, le_75, le_100, le_150, le_200, le_300, le_500, le_1000,
    le_2000, le_5000, le_10000, le_30000, le_60000, le_600000, le_3600000, beyond, slowest_ms, last_success)
SELECT 86400000, start - start % 86400000, business_id, integration_id, event_type,
    sum(succeeded), sum(failed), sum(answers_2xx), sum(answers_3xx), sum(answers_4xx), sum(answers_5xx),
    sum(answers_none), sum(le_1), sum(le_2), sum(le_3), sum(le_5), sum(le_7), sum(le_10), sum(le_15),
    sum(le_20), sum(le_30), sum(le_50), sum(le_75), sum(le_100), sum(le_150), sum(le_200), sum(le_300),
    sum(le_500), sum(le_1000), sum(le_2000), sum(le_5000), sum(le_10000), sum(le_30000), sum(le_60000),
    sum(le_600000), sum(le_3600000), sum(beyond), max(slowest_ms), max(last_success)
FROM attempt_stats WHERE grain = 3600000 GROUP BY 1, 2, 3, 4, 5;

INSERT INTO attempt_detail (grain, start, business_id, integration_id, event_type, number, status, failure,
    attempts)
SELECT 86400000, start - start % 86400000, business_id, integration_id, event_type, number, status, failure,
    sum(attempts)
FROM attempt_detail WHERE grain = 3600000 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- And what is there once more for all of a business, with integration 0 and no event type.

INSERT INTO delivery_stats (grain, start, business_id, integration_id, event_type,
    created, delivered, first_try, dead, cancelled, first_ended, first_succeeded, le_1, le_2, le_3, le_5,
    le_7, le_10, le_15, le_20, le_30, le_50, le_75, le_100, le_150, le_200, le_300, le_500, le_1000,
    le_2000, le_5000, le_10000, le_30000, le_60000, le_600000, le_3600000, beyond)
SELECT grain, start, business_id, 0, '',
    sum(created), sum(delivered), sum(first_try), sum(dead), sum(cancelled), sum(first_ended),
    sum(first_succeeded), sum(le_1), sum(le_2), sum(le_3), sum(le_5), sum(le_7), sum(le_10), sum(le_15),
    sum(le_20), sum(le_30), sum(le_50), sum(le_75), sum(le_100), sum(le_150), sum(le_200), sum(le_300),
    sum(le_500), sum(le_1000), sum(le_2000), sum(le_5000), sum(le_10000), sum(le_30000), sum(le_60000),
    sum(le_600000), sum(le_3600000), sum(beyond)
FROM delivery_stats GROUP BY grain, start, business_id;

INSERT INTO attempt_stats (grain, start, business_id, integration_id, event_type,
    succeeded, failed, answers_2xx, answers_3xx, answers_4xx, answers_5xx, answers_none, le_1, le_2, le_3,
    le_5, le_7, le_10, le_15, le_20, le_30, le_50, le_75, le_100, le_150, le_200, le_300, le_500, le_1000,
    le_2000, le_5000, le_10000, le_30000, le_60000, le_600000, le_3600000, beyond, slowest_ms, last_success)
SELECT grain, start, business_id, 0, '',
    sum(succeeded), sum(failed), sum(answers_2xx), sum(answers_3xx), sum(answers_4xx), sum(answers_5xx),
    sum(answers_none), sum(le_1), sum(le_2), sum(le_3), sum(le_5), sum(le_7), sum(le_10), sum(le_15),
    sum(le_20), sum(le_30), sum(le_50), sum(le_75), sum(le_100), sum(le_150), sum(le_200), sum(le_300),
    sum(le_500), sum(le_1000), sum(le_2000), sum(le_5000), sum(le_10000), sum(le_30000), sum(le_60000),
    sum(le_600000), sum(le_3600000), sum(beyond), max(slowest_ms), max(last_success)
FROM attempt_stats GROUP BY grain, start, business_id;
