-- Sessions need no table: in order of arrival a device's latest session is all that is needed, so it rides on the row of activity that a
-- batch appends anyway, and nothing is updated. A late event makes the activity itself be cut again.
DROP TABLE device_session;
DROP TABLE device_activity;

CREATE TABLE device_activity (
    batch        bigint      GENERATED ALWAYS AS IDENTITY,
    tenant_id    text        NOT NULL,
    device       text        NOT NULL,
    last_at      timestamptz NOT NULL,
    activities   bytea       NOT NULL,
    last_session bytea       NOT NULL,
    PRIMARY KEY (tenant_id, device, batch)
);
CREATE INDEX device_activity_age ON device_activity USING brin (last_at);
COMMENT ON COLUMN device_activity.last_at IS 'event time of the newest activity of the row';
COMMENT ON COLUMN device_activity.activities IS 'msgpack: list of [at, sequence, event id, client session, user, purchase, page view]';
COMMENT ON COLUMN device_activity.last_session IS 'msgpack: [started, ended, last client session, user, events, page views, purchases]';

ALTER TABLE device_activity ENABLE ROW LEVEL SECURITY;
ALTER TABLE device_activity FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON device_activity
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
