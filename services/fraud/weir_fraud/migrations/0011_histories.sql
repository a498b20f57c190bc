-- Whose histories hold the payment of a decision: 16 bytes an entity, in the order of the feature store's keys, zeros for one that the
-- payment lacks. A label finds the observation by them. Null in rows of before: their labels count from the next import on.

ALTER TABLE decision ADD COLUMN histories bytea;
ALTER TABLE decision ALTER COLUMN histories SET STATISTICS 0;

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
        shipping_country, payment_declined, histories
    ) VALUES (
        made.tenant_id, made.event_id, made.transaction_id, made.kind, made.subject, made.user_id, made.anonymous_id,
        made.amount, made.currency, made.event_timestamp, made.decided_at, made.outcome, made.score, made.margin,
        made.base_value, made.feature_values, made.contributions, made.reason_codes, made.model_version, made.source,
        made.latency, made.policy_version, made.review, made.decline, made.model_outcome, made.policy_rule,
        made.policy_errors, made.country, made.billing_country, made.shipping_country, made.payment_declined,
        made.histories
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
            shipping_country, payment_declined, histories
        ) SELECT
            m.tenant_id, m.event_id, m.transaction_id, m.kind, m.subject, m.user_id, m.anonymous_id, m.amount, m.currency,
            m.event_timestamp, m.decided_at, m.outcome, m.score, m.margin, m.base_value, m.feature_values, m.contributions,
            m.reason_codes, m.model_version, m.source, m.latency, m.policy_version, m.review, m.decline, m.model_outcome,
            m.policy_rule, m.policy_errors, m.country, m.billing_country, m.shipping_country, m.payment_declined, m.histories
        FROM unnest(made) AS m WHERE m.tenant_id = one ORDER BY m.event_id
        ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING d.tenant_id, d.event_id;
    END LOOP;
END
$$;
