-- The audit log: one hash chain a tenant. An entry's columns are its leaf; nothing is stored beside it that the leaf does not say.

CREATE TABLE audit_entry (
    tenant_id text NOT NULL,
    log_id text NOT NULL,
    seq bigint NOT NULL,
    entry_id uuid NOT NULL,
    leaf bytea NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (tenant_id, log_id, seq)
);
CREATE UNIQUE INDEX audit_entry_once ON audit_entry (tenant_id, log_id, entry_id);

ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_entry
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an audit entry cannot be changed or removed (% on %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END;
$$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_entry_no_truncate BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- What the entries say in detail, sealed; may be deleted (an erasure) without breaking the chain.
CREATE TABLE audit_payload (
    tenant_id text NOT NULL,
    entry_id uuid NOT NULL,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant_id, entry_id)
);
ALTER TABLE audit_payload ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_payload FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_payload
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

CREATE TABLE audit_head (
    log_id text PRIMARY KEY,
    size bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    appended_at timestamptz NOT NULL
);
COMMENT ON TABLE audit_head IS 'no tenant data: where each log ends; sizes and hashes only, the verifier walks them all';

-- The application role gets SELECT, INSERT, UPDATE, DELETE by default; here it may only read and append.
DO $$
DECLARE
    application name := regexp_replace(current_user, '_owner$', '');
BEGIN
    IF application = current_user THEN
        RAISE EXCEPTION 'migrations run as the owner role (…_owner), not as %', current_user;
    END IF;
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM %I', application);
    EXECUTE format('REVOKE UPDATE, TRUNCATE ON audit_payload FROM %I', application);
    EXECUTE format('REVOKE DELETE, TRUNCATE ON audit_head FROM %I', application);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON regime, holiday FROM %I', application);
END;
$$;
