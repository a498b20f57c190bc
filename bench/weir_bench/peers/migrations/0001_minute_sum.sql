-- What `make bench-peers` adds up: as the rollups of analytics, with nothing but a count and a sum.
CREATE TABLE minute_sum (
    tenant_id  text    NOT NULL,
    event_type text    NOT NULL,
    minute     bigint  NOT NULL,
    events     bigint  NOT NULL,
    cents      bigint  NOT NULL,
    PRIMARY KEY (tenant_id, event_type, minute)
) WITH (fillfactor = 70);
COMMENT ON COLUMN minute_sum.minute IS 'event time, minutes since 1970';

ALTER TABLE minute_sum ENABLE ROW LEVEL SECURITY;
ALTER TABLE minute_sum FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON minute_sum
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
