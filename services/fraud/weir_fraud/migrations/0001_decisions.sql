-- One decision a payment; what it was decided on is kept beside it, so that it can be shown and replayed.

CREATE TABLE decision (
    tenant_id      text             NOT NULL,
    event_id       text             NOT NULL,
    transaction_id text,
    user_id        text,
    anonymous_id   text,
    amount         numeric          NOT NULL,
    currency       text             NOT NULL,
    score          double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    outcome        text             NOT NULL CHECK (outcome IN ('approve', 'review', 'decline')),
    reason_codes   jsonb            NOT NULL,
    explanation    jsonb            NOT NULL,
    model_version  text             NOT NULL,
    event_at       timestamptz      NOT NULL,
    decided_at     timestamptz      NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX decision_user ON decision (tenant_id, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX decision_visitor ON decision (tenant_id, anonymous_id) WHERE anonymous_id IS NOT NULL;
CREATE INDEX decision_time ON decision (tenant_id, decided_at);

ALTER TABLE decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE decision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON decision
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
