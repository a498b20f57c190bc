-- What the service levels are computed from, by tenant and minute. Kept for 35 days.

CREATE TABLE request_minute (
    tenant_id       text        NOT NULL,
    minute          timestamptz NOT NULL,
    service         text        NOT NULL,
    route           text        NOT NULL,
    method          text        NOT NULL,
    total           bigint      NOT NULL,
    client_errors   bigint      NOT NULL,
    over_quota      bigint      NOT NULL,
    server_errors   bigint      NOT NULL,
    within_50ms     bigint      NOT NULL,
    within_5s       bigint      NOT NULL,
    events          bigint      NOT NULL,
    latency_buckets bigint[]    NOT NULL,
    PRIMARY KEY (tenant_id, minute, service, route, method)
);
COMMENT ON COLUMN request_minute.latency_buckets IS
    'element i+1: requests with ceil(ln(seconds / 1e-4) / ln 1.2) = i, the last element holds everything above';

CREATE TABLE freshness_minute (
    tenant_id text        NOT NULL,
    minute    timestamptz NOT NULL,
    service   text        NOT NULL,
    watched   bigint      NOT NULL,
    late      bigint      NOT NULL,
    PRIMARY KEY (tenant_id, minute, service)
);
COMMENT ON TABLE freshness_minute IS 'bit i of watched and late stands for second i of the minute';

ALTER TABLE request_minute ENABLE ROW LEVEL SECURITY;
ALTER TABLE request_minute FORCE ROW LEVEL SECURITY;
ALTER TABLE freshness_minute ENABLE ROW LEVEL SECURITY;
ALTER TABLE freshness_minute FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON request_minute
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
CREATE POLICY tenant_isolation ON freshness_minute
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
