-- Of a tenant that came after the last ANALYZE the planner believes that it has one row; then any index that leads with the tenant looks
-- as good as the whole key, and all of the tenant may be read for each look-up (as in the vault: migration 0004 there). Without
-- statistics it believes in the two-hundredth part of the table for everybody, and takes the key.

ALTER TABLE quarantined_event ALTER COLUMN tenant_id SET STATISTICS 0;
SELECT pg_clear_attribute_stats('ingest', 'quarantined_event', 'tenant_id', false);
