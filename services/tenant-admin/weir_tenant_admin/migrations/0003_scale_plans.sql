-- Plans for scaling a tenant's consumers, and what became of them.

CREATE TABLE scale_plan (
    tenant_id  text        NOT NULL,
    plan_id    uuid        NOT NULL,
    service    text        NOT NULL,
    minimum    integer     NOT NULL,
    maximum    integer     NOT NULL,
    state      text        NOT NULL,
    reason     text        NOT NULL DEFAULT '',
    document   jsonb       NOT NULL,
    before     jsonb,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    actor_kind text        NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, plan_id)
);
COMMENT ON COLUMN scale_plan.document IS 'as the client was shown it';
COMMENT ON COLUMN scale_plan.before IS 'replicas and bounds that were there before it was applied: what undoing goes back to';

ALTER TABLE scale_plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE scale_plan FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON scale_plan
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
