-- The books of analytics: rollups, orders and sessions. All of it can be computed again from the archive.
--
-- Not partitioned by day: buckets are of event time, which senders choose, and a partition for every day that anybody sends would
-- let one tenant fill the catalogue. BRIN indexes find what is old.

-- Classes A, R and K: what adds. Sum and count, or numerator and denominator.
CREATE TABLE rollup_counter (
    tenant_id  text        NOT NULL,
    metric     text        NOT NULL,
    step       integer     NOT NULL,
    bucket     timestamptz NOT NULL,
    dimensions text        NOT NULL,
    value      numeric     NOT NULL,
    weight     numeric     NOT NULL,
    PRIMARY KEY (tenant_id, step, bucket, metric, dimensions)
) WITH (fillfactor = 70);
COMMENT ON COLUMN rollup_counter.step IS 'seconds of the bucket: 60 or 900';
COMMENT ON COLUMN rollup_counter.bucket IS 'start of the bucket, event time, UTC';
COMMENT ON COLUMN rollup_counter.dimensions IS 'JSON array of the values of the metric''s dimensions';
COMMENT ON COLUMN rollup_counter.value IS 'class A, K: sum; class R: numerator';
COMMENT ON COLUMN rollup_counter.weight IS 'class A, K: count; class R: denominator';

-- Classes D and Q: what unites.
CREATE TABLE rollup_sketch (
    tenant_id  text        NOT NULL,
    metric     text        NOT NULL,
    step       integer     NOT NULL,
    bucket     timestamptz NOT NULL,
    dimensions text        NOT NULL,
    sketch     bytea       NOT NULL,
    PRIMARY KEY (tenant_id, step, bucket, metric, dimensions)
) WITH (fillfactor = 70);
COMMENT ON COLUMN rollup_sketch.sketch IS 'class D: exact set or HyperLogLog registers; class Q: log histogram';
-- Sketches hardly compress, and they are read and written all the time.
ALTER TABLE rollup_sketch ALTER COLUMN sketch SET STORAGE EXTERNAL;

-- The purchase event that counts for each order, as it was counted: it is taken back when an earlier one arrives.
CREATE TABLE placed_order (
    tenant_id text        NOT NULL,
    order_key text        NOT NULL,
    placed_at timestamptz NOT NULL,
    purchase  jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, order_key)
);

CREATE TABLE device_session (
    tenant_id           text        NOT NULL,
    session_id          uuid        NOT NULL,
    device              text        NOT NULL,
    started_at          timestamptz NOT NULL,
    started_sequence    bigint      NOT NULL,
    first_event_id      text        NOT NULL,
    ended_at            timestamptz NOT NULL,
    last_sequence       bigint      NOT NULL,
    last_event_id       text        NOT NULL,
    last_client_session text,
    user_id             text,
    events              integer     NOT NULL,
    page_views          integer     NOT NULL,
    purchases           integer     NOT NULL,
    PRIMARY KEY (tenant_id, session_id)
) WITH (fillfactor = 70);
CREATE INDEX device_session_of_device ON device_session (tenant_id, device, started_at);
CREATE INDEX device_session_of_user ON device_session (tenant_id, user_id) WHERE user_id IS NOT NULL;
COMMENT ON COLUMN device_session.user_id IS 'the last user seen in the session';

-- Every device's activity, appended batch by batch. Read only when a late event makes sessions be cut again.
CREATE TABLE device_activity (
    tenant_id  text        NOT NULL,
    device     text        NOT NULL,
    last_at    timestamptz NOT NULL,
    activities bytea       NOT NULL
);
CREATE INDEX device_activity_of_device ON device_activity (tenant_id, device, last_at);
CREATE INDEX device_activity_age ON device_activity USING brin (last_at);
COMMENT ON COLUMN device_activity.activities IS 'msgpack: list of [at, sequence, event id, client session, user, purchase, page view]';

CREATE TABLE tenant_freshness (
    tenant_id          text        PRIMARY KEY,
    events             bigint      NOT NULL,
    newest_event_at    timestamptz NOT NULL,
    newest_accepted_at timestamptz NOT NULL,
    applied_at         timestamptz NOT NULL
);
COMMENT ON COLUMN tenant_freshness.events IS 'events applied to the books, duplicates not counted';
COMMENT ON COLUMN tenant_freshness.applied_at IS 'when the newest event was applied';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'rollup_counter', 'rollup_sketch', 'placed_order', 'device_session', 'device_activity', 'tenant_freshness'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_isolation ON %I '
            'USING (tenant_id = NULLIF(current_setting(''weir.tenant_id'', true), '''')) '
            'WITH CHECK (tenant_id = NULLIF(current_setting(''weir.tenant_id'', true), ''''))',
            name
        );
    END LOOP;
END
$$;
