-- A decision and its announcement in one round trip: begin, tenant, two inserts and commit were five, and the shopper waits for each.

CREATE FUNCTION record_decision(
    made decision, topic text, key bytea, value bytea, headers jsonb, "partition" integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- As in tenant_transaction: for this transaction only, so that row level security takes this tenant's row and no other.
    PERFORM set_config('weir.tenant_id', made.tenant_id, true);
    INSERT INTO fraud.decision (
        tenant_id, event_id, transaction_id, kind, subject, user_id, anonymous_id, amount, currency, event_timestamp,
        decided_at, outcome, score, margin, base_value, feature_values, contributions, reason_codes, model_version, source,
        latency
    ) VALUES (
        made.tenant_id, made.event_id, made.transaction_id, made.kind, made.subject, made.user_id, made.anonymous_id,
        made.amount, made.currency, made.event_timestamp, made.decided_at, made.outcome, made.score, made.margin,
        made.base_value, made.feature_values, made.contributions, made.reason_codes, made.model_version, made.source,
        made.latency
    ) ON CONFLICT (tenant_id, event_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO fraud.outbox (topic, key, value, headers, "partition") VALUES (topic, key, value, headers, "partition");
    RETURN true;
END
$$;
COMMENT ON FUNCTION record_decision IS 'false: another decision on the event was first, and nothing was written';
