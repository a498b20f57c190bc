-- What became known of payments afterwards. A history: a label is added, never changed; the newest one counts.

CREATE TABLE label (
    tenant_id        text        NOT NULL,
    -- Of the payment event. It may have no decision: labels come for payments that were only imported, too.
    event_id         uuid        NOT NULL,
    label            text        NOT NULL CHECK (label IN ('chargeback', 'confirmed', 'cleared')),
    occurred_at      timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL,
    recorded_by      text        NOT NULL,
    source           text        NOT NULL CHECK (source IN ('feedback', 'case')),
    reference        text,
    PRIMARY KEY (tenant_id, event_id, label, occurred_at)
);
COMMENT ON COLUMN label.occurred_at IS 'when it became known to the sender';
COMMENT ON COLUMN label.reference IS 'the sender''s, e.g. of the dispute; no personal data';

ALTER TABLE label ENABLE ROW LEVEL SECURITY;
ALTER TABLE label FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON label
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; here it may only read and append.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON fraud.label FROM %I', application);
END;
$$;
