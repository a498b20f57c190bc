-- Subject requests. What identifies a person is sealed (AES-256-GCM under a key of the tenant); it is found by blind index.

CREATE TABLE regime (
    regime text NOT NULL,
    kind text NOT NULL,
    answer_months integer NOT NULL,
    answer_days integer NOT NULL,
    moves_to_working_day boolean NOT NULL,
    holiday_calendar text NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (regime, kind)
);
COMMENT ON TABLE regime IS 'no tenant data: what each law asks, the same for everybody';

INSERT INTO regime (regime, kind, answer_months, answer_days, moves_to_working_day, holiday_calendar, source) VALUES
    ('gdpr', 'access', 1, 0, true, 'eu', 'GDPR Art. 12(3); Reg. (EEC, Euratom) 1182/71 Art. 3'),
    ('ccpa', 'access', 0, 45, false, 'none', '11 CCR 7021(b), from receipt, verification included');

CREATE TABLE holiday (
    calendar text NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (calendar, day)
);
COMMENT ON TABLE holiday IS 'no tenant data: public holidays';

-- Only days that are public holidays in every member state: a missing holiday makes an answer early, a wrong one makes it late.
INSERT INTO holiday (calendar, day, name)
SELECT 'eu', make_date(year, 1, 1), 'New Year''s Day' FROM generate_series(2025, 2045) AS year
UNION ALL
SELECT 'eu', make_date(year, 12, 25), 'Christmas Day' FROM generate_series(2025, 2045) AS year;

CREATE TABLE subject_request (
    tenant_id text NOT NULL,
    request_id uuid NOT NULL,
    kind text NOT NULL,
    regime text NOT NULL,
    state text NOT NULL,
    sealed_subject bytea NOT NULL,
    subject_indexes bytea[] NOT NULL,
    recipient text,
    requested_by text NOT NULL,
    idempotency_key text,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    finished_at timestamptz,
    escalation text,
    escalated_at timestamptz,
    staging_key bytea,
    archive_key bytea,
    archive_key_handed_at timestamptz,
    archive_bytes bigint,
    archive_sha256 bytea,
    manifest bytea,
    link_expires_at timestamptz,
    PRIMARY KEY (tenant_id, request_id)
);
CREATE UNIQUE INDEX subject_request_idempotency ON subject_request (tenant_id, idempotency_key);
CREATE INDEX subject_request_subject ON subject_request USING gin (subject_indexes);
-- The planner's statistics keep sample values for as long as they like; sealed columns give it none.
ALTER TABLE subject_request ALTER COLUMN sealed_subject SET STATISTICS 0;
ALTER TABLE subject_request ALTER COLUMN subject_indexes SET STATISTICS 0;

ALTER TABLE subject_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE subject_request FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON subject_request
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- One row per store and request: each can fail, wait and be re-run by itself.
CREATE TABLE store_task (
    tenant_id text NOT NULL,
    request_id uuid NOT NULL,
    store text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    error_code text,
    started_at timestamptz,
    finished_at timestamptz,
    receipt jsonb,
    PRIMARY KEY (tenant_id, request_id, store),
    FOREIGN KEY (tenant_id, request_id) REFERENCES subject_request (tenant_id, request_id) ON DELETE CASCADE
);
ALTER TABLE store_task ENABLE ROW LEVEL SECURITY;
ALTER TABLE store_task FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON store_task
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- Written in the transaction that receives a request, deleted once its workflow runs: a request is not lost while Temporal is away.
CREATE TABLE workflow_start (
    workflow_id text PRIMARY KEY,
    task_queue text NOT NULL,
    input jsonb NOT NULL,
    written_at timestamptz NOT NULL
);
COMMENT ON TABLE workflow_start IS 'no tenant data: references of requests whose workflow is still to be started';
