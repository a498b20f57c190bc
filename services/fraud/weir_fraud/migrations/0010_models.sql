-- The registry of models: what each version is, where its files are, at which stage it stands, and which tenants have another one.

ALTER TABLE model
    ALTER COLUMN first_served_at DROP DEFAULT,
    ALTER COLUMN first_served_at DROP NOT NULL,
    ADD COLUMN stage         text        NOT NULL DEFAULT 'candidate'
        CHECK (stage IN ('candidate', 'shadow', 'challenger', 'champion', 'retired')),
    -- Below the root of the object storage. Null: a model of before there was a registry, or one whose files were not stored yet.
    ADD COLUMN folder        text,
    ADD COLUMN files         jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN overrides     integer     NOT NULL DEFAULT 0 CHECK (overrides >= 0),
    ADD COLUMN registered_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN registered_by text        NOT NULL DEFAULT 'fraud',
    ADD COLUMN staged_at     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN staged_by     text        NOT NULL DEFAULT 'fraud';
UPDATE model SET stage = 'retired', registered_at = first_served_at, staged_at = first_served_at;
ALTER TABLE model ADD CHECK (folder IS NOT NULL OR stage IN ('candidate', 'retired'));
COMMENT ON TABLE model IS 'no tenant data: versions of models with their cards; trained on synthetic data';
COMMENT ON COLUMN model.files IS 'SHA-256 of each file, the card too, in hex';
COMMENT ON COLUMN model.overrides IS 'how many tenants have it in place of the champion; not which';
COMMENT ON COLUMN model.first_served_at IS 'when it first became the champion or some tenant''s own';
CREATE UNIQUE INDEX model_champion ON model (stage) WHERE stage = 'champion';
CREATE UNIQUE INDEX model_shadow ON model (stage) WHERE stage = 'shadow';
CREATE INDEX model_by_time ON model (registered_at DESC, version DESC);

CREATE FUNCTION model_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version, NEW.features, NEW.review, NEW.decline, NEW.card) IS DISTINCT FROM
        (OLD.version, OLD.features, OLD.review, OLD.decline, OLD.card)
        OR (OLD.folder IS NOT NULL AND (NEW.folder, NEW.files) IS DISTINCT FROM (OLD.folder, OLD.files)) THEN
        RAISE EXCEPTION 'what a version is does not change: decisions name it';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER model_stays BEFORE UPDATE ON model FOR EACH ROW EXECUTE FUNCTION model_stays();

-- Who moved which version from where to where. For a move to champion: whom it goes back to, should it be taken back.
CREATE TABLE model_change (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version      text        NOT NULL REFERENCES model,
    stage_before text        NOT NULL,
    stage_after  text        NOT NULL,
    previous     text        REFERENCES model,
    changed_at   timestamptz NOT NULL,
    changed_by   text        NOT NULL,
    note         text        NOT NULL
);
COMMENT ON TABLE model_change IS 'no tenant data: the history of the stages';
CREATE INDEX model_change_by_version ON model_change (version, id DESC);

-- Raised by every change, of overrides too, so that an instance sees with one look at one row that there is something to read.
CREATE TABLE model_revision (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint  NOT NULL
);
COMMENT ON TABLE model_revision IS 'no tenant data: a counter';
INSERT INTO model_revision (revision) VALUES (1);

CREATE TABLE model_override (
    tenant_id text        PRIMARY KEY,
    version   text        NOT NULL REFERENCES model,
    set_at    timestamptz NOT NULL,
    set_by    text        NOT NULL,
    note      text        NOT NULL
);
ALTER TABLE model_override ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_override FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON model_override
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- A micro-batch has the payments of many tenants: one round trip for all, as for their policies.
CREATE FUNCTION model_overrides(tenants text[]) RETURNS TABLE (tenant_id text, version text) LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY tenants LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY SELECT o.tenant_id, o.version FROM fraud.model_override AS o WHERE o.tenant_id = one;
    END LOOP;
END
$$;

-- What the shadow would have decided beside what was decided: counts, no payments. The tenant `__platform__` has the sums of all.
CREATE TABLE shadow_tally (
    tenant_id text    NOT NULL,
    version   text    NOT NULL REFERENCES model,
    against   text    NOT NULL REFERENCES model,
    day       date    NOT NULL,
    decided   text    NOT NULL CHECK (decided IN ('approve', 'review', 'decline')),
    would     text    NOT NULL CHECK (would IN ('approve', 'review', 'decline')),
    payments  bigint  NOT NULL CHECK (payments > 0),
    PRIMARY KEY (tenant_id, version, against, day, decided, would)
);
COMMENT ON COLUMN shadow_tally.decided IS 'the outcome that was answered, by the model `against` and the policy';
COMMENT ON COLUMN shadow_tally.would IS 'the outcome by the shadow and the same policy';
ALTER TABLE shadow_tally ENABLE ROW LEVEL SECURITY;
ALTER TABLE shadow_tally FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shadow_tally
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

CREATE FUNCTION add_shadow_tallies(counted shadow_tally[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    -- In one order everywhere, so that two instances do not wait for each other.
    FOR one IN SELECT DISTINCT c.tenant_id FROM unnest(counted) AS c ORDER BY c.tenant_id LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        INSERT INTO fraud.shadow_tally AS t (tenant_id, version, against, day, decided, would, payments)
            SELECT c.tenant_id, c.version, c.against, c.day, c.decided, c.would, c.payments FROM unnest(counted) AS c
            WHERE c.tenant_id = one ORDER BY c.version, c.against, c.day, c.decided, c.would
            ON CONFLICT (tenant_id, version, against, day, decided, would)
            DO UPDATE SET payments = t.payments + excluded.payments;
    END LOOP;
END
$$;

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; here versions stay, and their history only grows.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE DELETE, TRUNCATE ON fraud.model FROM %I', application);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON fraud.model_change FROM %I', application);
    EXECUTE format('REVOKE INSERT, DELETE, TRUNCATE ON fraud.model_revision FROM %I', application);
    EXECUTE format('REVOKE DELETE, TRUNCATE ON fraud.shadow_tally FROM %I', application);
END;
$$;
