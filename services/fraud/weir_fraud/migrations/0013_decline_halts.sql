-- A tenant's share of declines, and when it left its corridor.

ALTER TABLE decision ADD COLUMN declines_halted boolean;
COMMENT ON COLUMN decision.declines_halted IS 'it would have been declined, and the outcome says review; null: of before, or of an instance of before';

-- Added up in the process and written once a second: a row of the minute that each decision wrote would be one that they all wait for.
CREATE TABLE decline_tally (
    tenant_id text        NOT NULL,
    minute    timestamptz NOT NULL,
    decisions bigint      NOT NULL CHECK (decisions >= 0),
    declines  bigint      NOT NULL CHECK (declines BETWEEN 0 AND decisions),
    PRIMARY KEY (tenant_id, minute)
);
COMMENT ON COLUMN decline_tally.decisions IS 'without those of the deny list';
COMMENT ON COLUMN decline_tally.declines IS 'also what would have been declined, had declines not been halted';

CREATE TABLE decline_halt (
    tenant_id       text             NOT NULL,
    halted_at       timestamptz      NOT NULL,
    decisions       bigint           NOT NULL,
    declines        bigint           NOT NULL,
    window_minutes  integer          NOT NULL,
    least_decisions integer          NOT NULL,
    ceiling         double precision NOT NULL,
    floor           double precision NOT NULL,
    policy_version  integer          NOT NULL,
    lifted_at       timestamptz,
    lifted_by       text,
    note            text,
    PRIMARY KEY (tenant_id, halted_at),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (note IS NULL))
);
CREATE UNIQUE INDEX decline_halt_open ON decline_halt (tenant_id) WHERE lifted_at IS NULL;
-- As in 0005: the planner must not take a new tenant for a tiny one.
ALTER TABLE decline_halt ALTER COLUMN tenant_id SET STATISTICS 0;

ALTER TABLE decline_tally ENABLE ROW LEVEL SECURITY;
ALTER TABLE decline_tally FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON decline_tally
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE decline_halt ENABLE ROW LEVEL SECURITY;
ALTER TABLE decline_halt FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON decline_halt
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- Raised by every halt and every lifting, so that an instance sees with one look at one row that there is something to read.
CREATE TABLE decline_halt_revision (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint  NOT NULL,
    halted   integer NOT NULL CHECK (halted >= 0)
);
COMMENT ON TABLE decline_halt_revision IS 'no tenant data: a counter, and how many tenants'' declines are halted; not whose';
INSERT INTO decline_halt_revision (revision, halted) VALUES (1, 0);

-- Many tenants in one round trip, as their policies. `windows`: how many minutes of each tenant are added up, the present one among them.
CREATE FUNCTION add_decline_tallies(counted decline_tally[], tenants text[], windows integer[], at timestamptz)
RETURNS TABLE (tenant_id text, decisions bigint, declines bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
    minutes integer;
BEGIN
    -- In one order everywhere, so that two instances do not wait for each other.
    FOR one, minutes IN SELECT asked.name, asked.minutes FROM unnest(tenants, windows) AS asked (name, minutes) ORDER BY asked.name LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        INSERT INTO fraud.decline_tally AS t (tenant_id, minute, decisions, declines)
            SELECT c.tenant_id, c.minute, c.decisions, c.declines FROM unnest(counted) AS c WHERE c.tenant_id = one ORDER BY c.minute
            ON CONFLICT (tenant_id, minute)
            DO UPDATE SET decisions = t.decisions + excluded.decisions, declines = t.declines + excluded.declines;
        -- The longest window is a day.
        DELETE FROM fraud.decline_tally AS t WHERE t.tenant_id = one AND t.minute < at - interval '2 days';
        RETURN QUERY SELECT one, coalesce(sum(t.decisions), 0)::bigint, coalesce(sum(t.declines), 0)::bigint FROM fraud.decline_tally AS t
            WHERE t.tenant_id = one AND t.minute > date_trunc('minute', at) - minutes * interval '1 minute' AND t.minute <= at;
    END LOOP;
END
$$;

CREATE FUNCTION tenants_halted(tenants text[]) RETURNS TABLE (tenant_id text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY tenants LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY SELECT h.tenant_id FROM fraud.decline_halt AS h WHERE h.tenant_id = one AND h.lifted_at IS NULL;
    END LOOP;
END
$$;

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; halts stay.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE DELETE, TRUNCATE ON fraud.decline_halt FROM %I', application);
    EXECUTE format('REVOKE INSERT, DELETE, TRUNCATE ON fraud.decline_halt_revision FROM %I', application);
END;
$$;
