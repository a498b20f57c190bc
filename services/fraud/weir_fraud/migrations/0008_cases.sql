-- A payment that a person must look at, from its decision to its resolution, and what was done with it.

CREATE TABLE review_case (
    tenant_id        text             NOT NULL,
    event_id         uuid             NOT NULL,
    score            double precision NOT NULL,
    opened_at        timestamptz      NOT NULL,
    state            text             NOT NULL CHECK (state IN ('open', 'assigned', 'resolved')),
    assignee         text,
    resolution       text             CHECK (resolution IN ('fraud', 'legitimate')),
    resolved_at      timestamptz,
    -- Raised by every action; what a client saw is compared with it.
    version          integer          NOT NULL,
    PRIMARY KEY (tenant_id, event_id),
    CHECK (state <> 'open' OR assignee IS NULL),
    CHECK (state <> 'assigned' OR assignee IS NOT NULL),
    CHECK ((state = 'resolved') = (resolution IS NOT NULL)),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
-- The queue stays as short as what is to be done, however many cases were resolved.
CREATE INDEX review_case_by_score ON review_case (tenant_id, score DESC, event_id) WHERE state <> 'resolved';
CREATE INDEX review_case_by_age ON review_case (tenant_id, opened_at, event_id) WHERE state <> 'resolved';
CREATE INDEX review_case_resolved_by_score ON review_case (tenant_id, score DESC, event_id) WHERE state = 'resolved';
CREATE INDEX review_case_resolved_by_age ON review_case (tenant_id, opened_at, event_id) WHERE state = 'resolved';
-- As in 0005: the planner must not take a new tenant for a tiny one.
ALTER TABLE review_case ALTER COLUMN tenant_id SET STATISTICS 0;

CREATE TABLE case_action (
    tenant_id        text        NOT NULL,
    event_id         uuid        NOT NULL,
    -- The version of the case that the action made.
    version          integer     NOT NULL,
    action           text        NOT NULL CHECK (action IN ('opened', 'assigned', 'unassigned', 'noted', 'resolved')),
    actor            text        NOT NULL,
    actor_kind       text        NOT NULL CHECK (actor_kind IN ('person', 'machine', 'service')),
    acted_at         timestamptz NOT NULL,
    assignee         text,
    resolution       text,
    note_key_id      text,
    note_sealed      bytea,
    PRIMARY KEY (tenant_id, event_id, version),
    CHECK ((note_key_id IS NULL) = (note_sealed IS NULL))
);
COMMENT ON COLUMN case_action.note_sealed IS 'the note, under the key of whom the payment is about: who is erased takes it along';
ALTER TABLE case_action ALTER COLUMN note_sealed SET STORAGE EXTERNAL;
ALTER TABLE case_action ALTER COLUMN note_sealed SET STATISTICS 0;

ALTER TABLE review_case ENABLE ROW LEVEL SECURITY;
ALTER TABLE review_case FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON review_case
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE case_action ENABLE ROW LEVEL SECURITY;
ALTER TABLE case_action FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON case_action
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- With the decision, whichever way it came in; row level security takes the rows, since who stores the decision has said whose it is.
CREATE FUNCTION open_review_case() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fraud.review_case (tenant_id, event_id, score, opened_at, state, version)
        VALUES (NEW.tenant_id, NEW.event_id, NEW.score, NEW.decided_at, 'open', 1);
    INSERT INTO fraud.case_action (tenant_id, event_id, version, action, actor, actor_kind, acted_at)
        VALUES (NEW.tenant_id, NEW.event_id, 1, 'opened', 'fraud', 'service', NEW.decided_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER decision_to_review AFTER INSERT ON decision
    FOR EACH ROW WHEN (NEW.outcome = 'review') EXECUTE FUNCTION open_review_case();

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; a case is never deleted, and its history only grows.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE DELETE, TRUNCATE ON fraud.review_case FROM %I', application);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON fraud.case_action FROM %I', application);
END;
$$;
