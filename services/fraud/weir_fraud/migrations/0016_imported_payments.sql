-- Where a payment that was only imported is observed, so that a label that comes later finds it in the histories; of payments that have a
-- decision that is known there. Rows that are older than a history's retention are deleted by the service.

CREATE TABLE imported_payment (
    tenant_id        text        NOT NULL,
    event_id         uuid        NOT NULL,
    event_timestamp  timestamptz NOT NULL,
    customer         bytea,
    histories        bytea       NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
COMMENT ON COLUMN imported_payment.customer IS 'the first of the histories: whose payment it is, for data subjects; null: of nobody';
COMMENT ON COLUMN imported_payment.histories IS 'as in decision: hashes of pseudonyms, 16 bytes an entity';
CREATE INDEX imported_payment_by_time ON imported_payment (tenant_id, event_timestamp);
CREATE INDEX imported_payment_by_customer ON imported_payment (tenant_id, customer) WHERE customer IS NOT NULL;
-- As in decision (0005): nothing is selected by the one, and of a new tenant the planner is not to believe that it has one row.
ALTER TABLE imported_payment ALTER COLUMN histories SET STATISTICS 0;
ALTER TABLE imported_payment ALTER COLUMN customer SET STATISTICS 0;
ALTER TABLE imported_payment ALTER COLUMN tenant_id SET STATISTICS 0;

ALTER TABLE imported_payment ENABLE ROW LEVEL SECURITY;
ALTER TABLE imported_payment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON imported_payment
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

CREATE FUNCTION record_imports(tenants text[], events uuid[], times timestamptz[], customers bytea[], observed bytea[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT name FROM unnest(tenants) AS asked (name) ORDER BY name LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        INSERT INTO fraud.imported_payment (tenant_id, event_id, event_timestamp, customer, histories)
            SELECT new.name, new.event, new.at, new.customer, new.histories
            FROM unnest(tenants, events, times, customers, observed) AS new (name, event, at, customer, histories)
            WHERE new.name = one ORDER BY new.event
        ON CONFLICT (tenant_id, event_id) DO NOTHING;
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_imports IS 'one statement a batch, whatever tenants are in it';

-- A label whose payment is not known yet waits, until its payment comes or is too old for any history.
ALTER TABLE unfinished_work DROP CONSTRAINT unfinished_work_task_check;
ALTER TABLE unfinished_work ADD CONSTRAINT unfinished_work_task_check CHECK (task IN ('observe', 'explain', 'label'));
ALTER TABLE unfinished_work ADD COLUMN noted_at timestamptz NOT NULL DEFAULT now();
COMMENT ON TABLE unfinished_work IS 'no tenant data: references of events of which something is still to be done, gone when it is';
