-- The vault: who is who, and by which key their data are sealed. Every key in it is wrapped; the root key is not here.

-- The tenants' keys by epoch, wrapped by the root key. Destroying one must reach every copy: leave this table out of the backups
-- (pg_dump --exclude-table-data=vault.tenant_kek) or give it a database without any, and every older backup of the rest is noise.
CREATE TABLE tenant_kek (
    tenant_id   text        NOT NULL,
    epoch       integer     NOT NULL,
    wrapped_key bytea       NOT NULL CHECK (octet_length(wrapped_key) = 40),
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, epoch)
);

-- Blind index and link tokens, one key for each purpose and period. Deleting a row ends what it could link.
CREATE TABLE tenant_key (
    tenant_id   text    NOT NULL,
    purpose     text    NOT NULL,
    period      integer NOT NULL,
    epoch       integer NOT NULL,
    wrapped_key bytea   NOT NULL CHECK (octet_length(wrapped_key) = 40),
    PRIMARY KEY (tenant_id, purpose, period)
);

-- Deleting a row is the erasure: afterwards nothing leads from the person to the id, and nothing opens what was sealed.
CREATE TABLE subject (
    tenant_id   text    NOT NULL,
    blind_index bytea   NOT NULL CHECK (octet_length(blind_index) = 32),
    subject_id  text    NOT NULL,
    epoch       integer NOT NULL,
    wrapped_key bytea   NOT NULL CHECK (octet_length(wrapped_key) = 40),
    PRIMARY KEY (tenant_id, blind_index),
    UNIQUE (tenant_id, subject_id)
);
CREATE INDEX subject_by_epoch ON subject (tenant_id, epoch);

-- Raised by each erasure, so that every cache knows within a second that what it holds may be gone.
CREATE TABLE erasure_mark (
    tenant_id text   PRIMARY KEY,
    number    bigint NOT NULL
);

-- The planner's statistics keep sample values for as long as they like; wrapped keys and blind indexes give it none.
ALTER TABLE tenant_kek ALTER COLUMN wrapped_key SET STATISTICS 0;
ALTER TABLE tenant_key ALTER COLUMN wrapped_key SET STATISTICS 0;
ALTER TABLE subject ALTER COLUMN wrapped_key SET STATISTICS 0;
ALTER TABLE subject ALTER COLUMN blind_index SET STATISTICS 0;
ALTER TABLE subject ALTER COLUMN subject_id SET STATISTICS 0;

ALTER TABLE tenant_kek ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_kek FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_kek
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE tenant_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant_key
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE subject ENABLE ROW LEVEL SECURITY;
ALTER TABLE subject FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON subject
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
ALTER TABLE erasure_mark ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasure_mark FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON erasure_mark
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- One statement, so one round trip and one commit. The second statement inside sees what another instance committed while the
-- first one waited for it, which a single INSERT … RETURNING would not. The tenant is set for this transaction only.
CREATE FUNCTION add_subjects(
    of_tenant text, blind_indexes bytea[], subject_ids text[], of_epoch integer, wrapped_keys bytea[]
) RETURNS TABLE (blind_index bytea, subject_id text, epoch integer, wrapped_key bytea)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('weir.tenant_id', of_tenant, true);
    INSERT INTO vault.subject AS made (tenant_id, blind_index, subject_id, epoch, wrapped_key)
    SELECT of_tenant, draft.blind_index, draft.subject_id, of_epoch, draft.wrapped_key
    FROM unnest(blind_indexes, subject_ids, wrapped_keys) AS draft (blind_index, subject_id, wrapped_key)
    ON CONFLICT (tenant_id, blind_index) DO NOTHING;
    RETURN QUERY
    SELECT s.blind_index, s.subject_id, s.epoch, s.wrapped_key
    FROM vault.subject AS s WHERE s.tenant_id = of_tenant AND s.blind_index = ANY (blind_indexes);
END
$$;
