-- The books, by tenant and minute of acceptance: what came in at the door, and what each consumer did with it. Kept for 35 days.

CREATE TABLE ledger_door (
    tenant_id text        NOT NULL,
    minute    timestamptz NOT NULL,
    fate      text        NOT NULL,
    events    bigint      NOT NULL,
    PRIMARY KEY (tenant_id, minute, fate)
);
COMMENT ON COLUMN ledger_door.fate IS 'received, or what became of an event: accepted, duplicate, invalid, …';

CREATE TABLE ledger_consumer (
    tenant_id   text        NOT NULL,
    minute      timestamptz NOT NULL,
    consumer    text        NOT NULL,
    applied     bigint      NOT NULL,
    duplicates  bigint      NOT NULL,
    quarantined bigint      NOT NULL,
    PRIMARY KEY (tenant_id, minute, consumer)
);

ALTER TABLE ledger_door ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_door FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger_consumer ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_consumer FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON ledger_door
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
CREATE POLICY tenant_isolation ON ledger_consumer
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
