-- Decisions that were made while a part was away say so, and the payments that the histories in Valkey have missed wait here for them.

ALTER TABLE decision
    ADD COLUMN degraded      text[],
    ADD COLUMN least_outcome text CHECK (least_outcome IN ('approve', 'review', 'decline'));
COMMENT ON COLUMN decision.degraded IS 'what was otherwise than it should be; null: nothing';
COMMENT ON COLUMN decision.least_outcome IS 'what the outcome of the thresholds was raised to; null: nothing';
ALTER TABLE decision ALTER COLUMN degraded SET STATISTICS 0;

-- Deleted once the histories have it. Whose they are says the decision (histories).
CREATE TABLE unobserved_payment (
    tenant_id    text        NOT NULL,
    event_id     uuid        NOT NULL,
    observation  bytea       NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
COMMENT ON COLUMN unobserved_payment.observation IS 'packed as in the histories: hashes of identities, amount, time, coarse place';
ALTER TABLE unobserved_payment ENABLE ROW LEVEL SECURITY;
ALTER TABLE unobserved_payment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON unobserved_payment
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- Row level security shows one tenant at a time: whoever does what is left finds here of whom.
CREATE TABLE unfinished_work (
    place  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task   text   NOT NULL CHECK (task IN ('observe', 'explain')),
    work   jsonb  NOT NULL
);
COMMENT ON TABLE unfinished_work IS 'no tenant data: references of decisions of which something is still to be done, gone when it is';
CREATE INDEX unfinished_work_by_task ON unfinished_work (task, place);

CREATE FUNCTION note_unobserved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fraud.unfinished_work (task, work)
        VALUES ('observe', jsonb_build_object('tenant_id', NEW.tenant_id, 'event_id', NEW.event_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER note_unobserved AFTER INSERT ON unobserved_payment FOR EACH ROW EXECUTE FUNCTION note_unobserved();

DROP FUNCTION record_decision(decision, text, bytea, bytea, jsonb, integer);
CREATE FUNCTION record_decision(
    made decision, topic text, key bytea, value bytea, headers jsonb, "partition" integer,
    observation bytea DEFAULT NULL, received_at timestamptz DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- As in tenant_transaction: for this transaction only, so that row level security takes this tenant's row and no other.
    PERFORM set_config('weir.tenant_id', made.tenant_id, true);
    -- Every column of the row that is given, so that a later one needs no new text here.
    INSERT INTO fraud.decision SELECT (made).* ON CONFLICT (tenant_id, event_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF observation IS NOT NULL THEN
        INSERT INTO fraud.unobserved_payment (tenant_id, event_id, observation, received_at)
            VALUES (made.tenant_id, made.event_id, observation, received_at);
    END IF;
    INSERT INTO fraud.outbox (topic, key, value, headers, "partition") VALUES (topic, key, value, headers, "partition");
    RETURN true;
END
$$;
COMMENT ON FUNCTION record_decision IS 'false: another decision on the event was first, and nothing was written';

DROP FUNCTION record_decisions(decision[]);
CREATE FUNCTION record_decisions(
    made decision[], unobserved uuid[] DEFAULT '{}', observations bytea[] DEFAULT '{}', received timestamptz[] DEFAULT '{}'
) RETURNS TABLE (tenant_id text, event_id uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT m.tenant_id FROM unnest(made) AS m ORDER BY m.tenant_id LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY WITH ours AS (
            INSERT INTO fraud.decision AS d SELECT m.* FROM unnest(made) AS m WHERE m.tenant_id = one ORDER BY m.event_id
            ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING d.tenant_id AS whose, d.event_id AS event
        ), kept AS (
            INSERT INTO fraud.unobserved_payment (tenant_id, event_id, observation, received_at)
            SELECT ours.whose, ours.event, new.observation, new.at
            FROM unnest(unobserved, observations, received) WITH ORDINALITY AS new (event, observation, at, place)
            JOIN ours ON ours.event = new.event ORDER BY new.place
        )
        SELECT ours.whose, ours.event FROM ours;
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_decisions IS 'the events whose decision is this one; on the others another decision was first';
