-- ANALYZE took 1.3 s of a processor for 40,000 decisions, once a minute while there are few: it counted every number in these lists.
-- Nothing is selected by them.

ALTER TABLE decision ALTER COLUMN feature_values SET STATISTICS 0;
ALTER TABLE decision ALTER COLUMN contributions SET STATISTICS 0;
ALTER TABLE decision ALTER COLUMN reason_codes SET STATISTICS 0;

-- Of a tenant that came after the last ANALYZE the planner believes that it has one row; then any index that leads with the tenant looks
-- as good as the whole key, and all of the tenant may be read for each look-up (as in the vault: migration 0004 there). Without
-- statistics it believes in the two-hundredth part of the table for everybody, and takes the key.

ALTER TABLE decision ALTER COLUMN tenant_id SET STATISTICS 0;
SELECT pg_clear_attribute_stats('fraud', 'decision', 'tenant_id', false);
