-- The policy above the score: drafts, versions that are approved by another person than their makers, and what decisions keep of it.

CREATE TABLE policy_draft (
    tenant_id     text        PRIMARY KEY,
    -- Null once it was submitted; the revision goes on, so that no number ever stands for two drafts.
    document      jsonb,
    revision      integer     NOT NULL CHECK (revision > 0),
    editors       text[]      NOT NULL,
    edited_at     timestamptz NOT NULL,
    CHECK ((document IS NULL) = (cardinality(editors) = 0))
);

CREATE TABLE policy_version (
    tenant_id     text        NOT NULL,
    version       integer     NOT NULL CHECK (version > 0),
    document      jsonb       NOT NULL,
    state         text        NOT NULL CHECK (state IN ('proposed', 'active', 'superseded', 'rejected')),
    makers        text[]      NOT NULL CHECK (cardinality(makers) > 0),
    note          text        NOT NULL,
    submitted_at  timestamptz NOT NULL,
    restores      integer,
    decided_by    text,
    decided_at    timestamptz,
    decision_note text,
    PRIMARY KEY (tenant_id, version),
    CHECK ((state = 'proposed') = (decided_by IS NULL)),
    CHECK (state NOT IN ('active', 'superseded') OR decided_by <> ALL (makers))
);
-- One in force, and one that waits: two that wait would replace each other unseen.
CREATE UNIQUE INDEX policy_version_active ON policy_version (tenant_id) WHERE state = 'active';
CREATE UNIQUE INDEX policy_version_proposed ON policy_version (tenant_id) WHERE state = 'proposed';

-- Three indexes lead with the tenant: as in 0005.
ALTER TABLE policy_version ALTER COLUMN tenant_id SET STATISTICS 0;

CREATE FUNCTION policy_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'versions of policies are kept: decisions name them';
    END IF;
    IF (NEW.tenant_id, NEW.version, NEW.document, NEW.makers, NEW.note, NEW.submitted_at, NEW.restores)
        IS DISTINCT FROM (OLD.tenant_id, OLD.version, OLD.document, OLD.makers, OLD.note, OLD.submitted_at, OLD.restores) THEN
        RAISE EXCEPTION 'what was submitted does not change';
    END IF;
    IF NOT ((OLD.state = 'proposed' AND NEW.state IN ('active', 'rejected')) OR (OLD.state = 'active' AND NEW.state = 'superseded'
            AND (NEW.decided_by, NEW.decided_at, NEW.decision_note) IS NOT DISTINCT FROM (OLD.decided_by, OLD.decided_at, OLD.decision_note))) THEN
        RAISE EXCEPTION 'a version that is % does not become %', OLD.state, NEW.state;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER policy_version_stays BEFORE UPDATE OR DELETE ON policy_version FOR EACH ROW EXECUTE FUNCTION policy_version_stays();

ALTER TABLE policy_draft ENABLE ROW LEVEL SECURITY;
ALTER TABLE policy_draft FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON policy_draft
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE policy_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE policy_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON policy_version
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- A micro-batch has the payments of many tenants: one round trip for all, and documents only of the versions that are not known yet.
CREATE FUNCTION active_policies(tenants text[], known integer[])
RETURNS TABLE (tenant_id text, version integer, document text) LANGUAGE plpgsql AS $$
DECLARE
    one text;
    has integer;
BEGIN
    FOR one, has IN SELECT name, seen FROM unnest(tenants, known) AS asked (name, seen) LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY SELECT v.tenant_id, v.version, CASE WHEN v.version = has THEN NULL ELSE v.document::text END
            FROM fraud.policy_version AS v WHERE v.tenant_id = one AND v.state = 'active';
    END LOOP;
END
$$;
COMMENT ON FUNCTION active_policies IS 'the version in force of each tenant that has one; its document unless it is the known one';

-- What a decision keeps of the policy, and what rules see of a payment. In rows of before all but the version and the model's outcome are
-- null: the thresholds are then the model's, and whether the payment was declined by others is not known.

ALTER TABLE decision
    ADD COLUMN policy_version   integer NOT NULL DEFAULT 0,
    ADD COLUMN review           double precision,
    ADD COLUMN decline          double precision,
    ADD COLUMN model_outcome    text CHECK (model_outcome IN ('approve', 'review', 'decline')),
    ADD COLUMN policy_rule      text,
    ADD COLUMN policy_errors    text[],
    ADD COLUMN country          text,
    ADD COLUMN billing_country  text,
    ADD COLUMN shipping_country text,
    ADD COLUMN payment_declined boolean;
ALTER TABLE decision ALTER COLUMN policy_errors SET STATISTICS 0;

-- A dry run reads the newest.
CREATE INDEX decision_by_time ON decision (tenant_id, decided_at DESC, event_id DESC);

CREATE OR REPLACE FUNCTION record_decision(
    made decision, topic text, key bytea, value bytea, headers jsonb, "partition" integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- As in tenant_transaction: for this transaction only, so that row level security takes this tenant's row and no other.
    PERFORM set_config('weir.tenant_id', made.tenant_id, true);
    INSERT INTO fraud.decision (
        tenant_id, event_id, transaction_id, kind, subject, user_id, anonymous_id, amount, currency, event_timestamp,
        decided_at, outcome, score, margin, base_value, feature_values, contributions, reason_codes, model_version, source,
        latency, policy_version, review, decline, model_outcome, policy_rule, policy_errors, country, billing_country,
        shipping_country, payment_declined
    ) VALUES (
        made.tenant_id, made.event_id, made.transaction_id, made.kind, made.subject, made.user_id, made.anonymous_id,
        made.amount, made.currency, made.event_timestamp, made.decided_at, made.outcome, made.score, made.margin,
        made.base_value, made.feature_values, made.contributions, made.reason_codes, made.model_version, made.source,
        made.latency, made.policy_version, made.review, made.decline, made.model_outcome, made.policy_rule,
        made.policy_errors, made.country, made.billing_country, made.shipping_country, made.payment_declined
    ) ON CONFLICT (tenant_id, event_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO fraud.outbox (topic, key, value, headers, "partition") VALUES (topic, key, value, headers, "partition");
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION record_decisions(made decision[]) RETURNS TABLE (tenant_id text, event_id uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT m.tenant_id FROM unnest(made) AS m ORDER BY m.tenant_id LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY INSERT INTO fraud.decision AS d (
            tenant_id, event_id, transaction_id, kind, subject, user_id, anonymous_id, amount, currency, event_timestamp,
            decided_at, outcome, score, margin, base_value, feature_values, contributions, reason_codes, model_version, source,
            latency, policy_version, review, decline, model_outcome, policy_rule, policy_errors, country, billing_country,
            shipping_country, payment_declined
        ) SELECT
            m.tenant_id, m.event_id, m.transaction_id, m.kind, m.subject, m.user_id, m.anonymous_id, m.amount, m.currency,
            m.event_timestamp, m.decided_at, m.outcome, m.score, m.margin, m.base_value, m.feature_values, m.contributions,
            m.reason_codes, m.model_version, m.source, m.latency, m.policy_version, m.review, m.decline, m.model_outcome,
            m.policy_rule, m.policy_errors, m.country, m.billing_country, m.shipping_country, m.payment_declined
        FROM unnest(made) AS m WHERE m.tenant_id = one ORDER BY m.event_id
        ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING d.tenant_id, d.event_id;
    END LOOP;
END
$$;
