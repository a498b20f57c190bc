-- What senders send that no schema knows, by day: what a merchant's release changed unannounced.

CREATE TABLE unknown_field (
    tenant_id      text        NOT NULL,
    day            date        NOT NULL,
    schema_version text        NOT NULL,
    field          text        NOT NULL,
    events         bigint      NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, day, schema_version, field)
);
COMMENT ON COLUMN unknown_field.field IS 'pointer, * for list indexes; "other" beyond the first hundred of a tenant';

ALTER TABLE unknown_field ENABLE ROW LEVEL SECURITY;
ALTER TABLE unknown_field FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON unknown_field
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
