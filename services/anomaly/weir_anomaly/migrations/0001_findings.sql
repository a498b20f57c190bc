-- Rule states and findings; both change in the transaction that moves the offsets.

CREATE TABLE rule_state (
    tenant_id  text             NOT NULL,
    rule       text             NOT NULL,
    entity     text             NOT NULL,
    state      bytea            NOT NULL,
    updated_at double precision NOT NULL,
    PRIMARY KEY (tenant_id, rule, entity)
);
COMMENT ON COLUMN rule_state.updated_at IS 'event time, seconds since 1970';
CREATE INDEX rule_state_age ON rule_state (tenant_id, rule, updated_at);

CREATE TABLE finding (
    tenant_id     text             NOT NULL,
    finding_id    uuid             NOT NULL,
    rule          text             NOT NULL,
    entity        text             NOT NULL,
    state         text             NOT NULL CHECK (state IN ('open', 'closed')),
    severity      text             NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    opened_at     timestamptz      NOT NULL,
    quiet_at      double precision NOT NULL,
    subjects      text[]           NOT NULL,
    document      jsonb            NOT NULL,
    PRIMARY KEY (tenant_id, finding_id)
);
CREATE INDEX finding_of_entity ON finding (tenant_id, rule, entity, opened_at DESC);
CREATE INDEX finding_list ON finding (tenant_id, state, opened_at DESC, finding_id DESC);
CREATE INDEX finding_quiet ON finding (tenant_id, quiet_at) WHERE state = 'open';
CREATE UNIQUE INDEX finding_one_open ON finding (tenant_id, rule, entity) WHERE state = 'open';

ALTER TABLE rule_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule_state FORCE ROW LEVEL SECURITY;
ALTER TABLE finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE finding FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON rule_state
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
CREATE POLICY tenant_isolation ON finding
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
