-- Decisions, one for each payment event, with the snapshot of features that they were made on.

CREATE TABLE model (
    version          text             PRIMARY KEY,
    features         text[]           NOT NULL,
    review           double precision NOT NULL,
    decline          double precision NOT NULL,
    card             jsonb            NOT NULL,
    first_served_at  timestamptz      NOT NULL DEFAULT now()
);
COMMENT ON TABLE model IS 'no tenant data: the models that decisions were made by, trained on synthetic data';

CREATE TABLE decision (
    tenant_id        text             NOT NULL,
    event_id         uuid             NOT NULL,
    transaction_id   text             NOT NULL,
    kind             text             NOT NULL,
    subject          text             NOT NULL,
    user_id          text,
    anonymous_id     text,
    amount           numeric,
    currency         text,
    event_timestamp  timestamptz      NOT NULL,
    decided_at       timestamptz      NOT NULL,
    outcome          text             NOT NULL CHECK (outcome IN ('approve', 'review', 'decline')),
    score            double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    margin           double precision NOT NULL,
    base_value       double precision NOT NULL,
    -- In the order of the model's features; nan where a value was not known.
    feature_values   double precision[] NOT NULL,
    contributions    double precision[] NOT NULL,
    reason_codes     text[]           NOT NULL,
    model_version    text             NOT NULL REFERENCES model,
    source           text             NOT NULL,
    latency          interval         NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX decision_by_user ON decision (tenant_id, user_id, event_id) WHERE user_id IS NOT NULL;
CREATE INDEX decision_by_visitor ON decision (tenant_id, anonymous_id, event_id) WHERE anonymous_id IS NOT NULL;

ALTER TABLE decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE decision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON decision
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
