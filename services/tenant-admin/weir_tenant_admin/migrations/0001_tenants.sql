-- Tenants and their credentials. Rows of the platform itself (operators' keys) carry the tenant '__platform__'.

CREATE TABLE tenant (
    tenant_id               text             NOT NULL PRIMARY KEY,
    name                    text             NOT NULL,
    tier                    text             NOT NULL,
    vertical                text             NOT NULL,
    isolation               text             NOT NULL,
    status                  text             NOT NULL DEFAULT 'active',
    quota_events_per_second double precision,
    created_at              timestamptz      NOT NULL DEFAULT now(),
    created_by              text             NOT NULL
);

CREATE TABLE api_key (
    tenant_id    text        NOT NULL,
    key_id       uuid        NOT NULL,
    client       text        NOT NULL,
    key_hash     text        NOT NULL,
    hint         text        NOT NULL,
    roles        text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text        NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    last_used_at timestamptz,
    PRIMARY KEY (tenant_id, key_id)
);
-- Not unique, on purpose: a unique index that does not lead with the tenant tells by its error that a row exists.
-- Two random keys of 178 bits do not collide.
CREATE INDEX api_key_by_hash ON api_key (key_hash);
CREATE INDEX api_key_by_creator ON api_key (tenant_id, created_by);

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON tenant
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));
CREATE POLICY tenant_isolation ON api_key
    USING (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''))
    WITH CHECK (tenant_id = NULLIF(current_setting('weir.tenant_id', true), ''));

-- Two questions have no tenant yet: "which tenants are there" (operators) and "whose key is this" (token exchange).
-- They are reads, and the transaction that asks them says so by name.
CREATE POLICY platform_read ON tenant FOR SELECT
    USING (current_setting('weir.platform_read', true) = 'on');
CREATE POLICY platform_read ON api_key FOR SELECT
    USING (current_setting('weir.platform_read', true) = 'on');
