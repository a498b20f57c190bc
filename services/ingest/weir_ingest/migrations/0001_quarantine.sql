-- What was refused at the door, until somebody mends it or it expires. In the open: coordinates only.

CREATE TABLE quarantined_event (
    tenant_id        text        NOT NULL,
    quarantine_id    uuid        NOT NULL,
    state            text        NOT NULL CHECK (state IN ('held', 'replayed', 'discarded')),
    event_id         text        NOT NULL,
    event_type       text        NOT NULL,
    schema_version   text        NOT NULL,
    reasons          jsonb       NOT NULL,
    size             integer     NOT NULL CHECK (size >= 0),
    seen             bigint      NOT NULL DEFAULT 1,
    first_refused_at timestamptz NOT NULL,
    last_refused_at  timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    subjects         bytea[]     NOT NULL,
    sealed           bytea,
    PRIMARY KEY (tenant_id, quarantine_id),
    CHECK ((state = 'held') = (sealed IS NOT NULL))
);
COMMENT ON COLUMN quarantined_event.seen IS 'how often the very same text was refused';
COMMENT ON COLUMN quarantined_event.subjects IS 'keyed digests of the identifiers of whom it is about';
COMMENT ON COLUMN quarantined_event.sealed IS 'the text, under the tenant''s key';
CREATE INDEX quarantined_event_list ON quarantined_event (tenant_id, last_refused_at DESC, quarantine_id DESC);
CREATE INDEX quarantined_event_held ON quarantined_event (tenant_id, first_refused_at, quarantine_id) INCLUDE (size) WHERE state = 'held';
CREATE INDEX quarantined_event_expiry ON quarantined_event (tenant_id, expires_at);
CREATE INDEX quarantined_event_subject ON quarantined_event USING gin (subjects);
ALTER TABLE quarantined_event ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE quarantined_event ALTER COLUMN sealed SET STATISTICS 0;

ALTER TABLE quarantined_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE quarantined_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON quarantined_event
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
