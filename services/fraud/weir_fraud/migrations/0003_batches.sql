-- A micro-batch has the payments of many tenants, and row level security shows one at a time: one round trip for all of them
-- instead of two a tenant, for looking and for writing.

CREATE FUNCTION decided_before(tenants text[], events uuid[]) RETURNS TABLE (tenant_id text, event_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT name FROM unnest(tenants) AS asked (name) ORDER BY name LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY SELECT d.tenant_id, d.event_id FROM fraud.decision AS d
            JOIN unnest(tenants, events) AS asked (name, event) ON asked.name = one AND asked.event = d.event_id
            WHERE d.tenant_id = one;
    END LOOP;
END
$$;
COMMENT ON FUNCTION decided_before IS 'which of the events, each with its tenant, have a decision';

CREATE FUNCTION record_decisions(made decision[]) RETURNS TABLE (tenant_id text, event_id uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT m.tenant_id FROM unnest(made) AS m ORDER BY m.tenant_id LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY INSERT INTO fraud.decision AS d (
            tenant_id, event_id, transaction_id, kind, subject, user_id, anonymous_id, amount, currency, event_timestamp,
            decided_at, outcome, score, margin, base_value, feature_values, contributions, reason_codes, model_version, source,
            latency
        ) SELECT
            m.tenant_id, m.event_id, m.transaction_id, m.kind, m.subject, m.user_id, m.anonymous_id, m.amount, m.currency,
            m.event_timestamp, m.decided_at, m.outcome, m.score, m.margin, m.base_value, m.feature_values, m.contributions,
            m.reason_codes, m.model_version, m.source, m.latency
        FROM unnest(made) AS m WHERE m.tenant_id = one ORDER BY m.event_id
        ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING d.tenant_id, d.event_id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_decisions IS 'the events whose decision is this one; on the others another decision was first';
