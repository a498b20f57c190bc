-- Each event of a micro-batch is looked up by its key: joined, the planner may read all decisions of the tenant for a handful of events,
-- as it does when it made its plan while there were few.

CREATE OR REPLACE FUNCTION decided_before(tenants text[], events uuid[]) RETURNS TABLE (tenant_id text, event_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT DISTINCT name FROM unnest(tenants) AS asked (name) ORDER BY name LOOP
        PERFORM set_config('weir.tenant_id', one, true);
        RETURN QUERY SELECT found.tenant_id, found.event_id FROM unnest(tenants, events) AS asked (name, event)
            CROSS JOIN LATERAL (
                SELECT d.tenant_id, d.event_id FROM fraud.decision AS d WHERE d.tenant_id = one AND d.event_id = asked.event LIMIT 1
            ) AS found
            WHERE asked.name = one;
    END LOOP;
END
$$;
