-- The evidence for promotions: backtests on archived traffic; and by what gate a version was promoted.

CREATE TABLE model_backtest (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version     text        NOT NULL REFERENCES model,
    recorded_at timestamptz NOT NULL,
    recorded_by text        NOT NULL,
    document    jsonb       NOT NULL
);
COMMENT ON TABLE model_backtest IS 'no tenant data: figures of models over archived payments of all tenants, no payments';
CREATE INDEX model_backtest_by_version ON model_backtest (version, id DESC);

ALTER TABLE model_change ADD COLUMN gate jsonb;
COMMENT ON COLUMN model_change.gate IS 'of a gated move: the checks as they were, and why they were overridden if they were; null: none was needed';

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; evidence only grows.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON fraud.model_backtest FROM %I', application);
END;
$$;

-- How far the payments of a tenant are from those that the model was trained on; the newest. The tenant `__platform__` has all of them together.
CREATE TABLE drift_report (
    tenant_id   text        NOT NULL,
    version     text        NOT NULL REFERENCES model,
    computed_at timestamptz NOT NULL,
    document    jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, version)
);
COMMENT ON COLUMN drift_report.document IS 'figures over decisions, no payments and no persons';
ALTER TABLE drift_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift_report FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON drift_report
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- Which instance computes them next: whoever moves the time.
CREATE TABLE drift_run (
    one      boolean     PRIMARY KEY DEFAULT true CHECK (one),
    began_at timestamptz NOT NULL
);
COMMENT ON TABLE drift_run IS 'no tenant data: when the last computation began';
INSERT INTO drift_run (began_at) VALUES ('1970-01-01T00:00:00Z');
