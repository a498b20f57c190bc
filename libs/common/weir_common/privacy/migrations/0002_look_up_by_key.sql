-- Each subject of a batch is looked up by its key, whatever the planner believes. It knows nothing of the blind indexes (they give no
-- statistics) and made its plan while the table was small: then one scan of `subject_by_epoch` over all of the tenant's subjects looked
-- as cheap as forty look-ups, and stayed: 6,700 rows read a batch, growing with every customer.

CREATE OR REPLACE FUNCTION add_subjects(
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
    SELECT found.blind_index, found.subject_id, found.epoch, found.wrapped_key
    FROM unnest(blind_indexes) AS asked (blind_index) CROSS JOIN LATERAL (
        SELECT s.blind_index, s.subject_id, s.epoch, s.wrapped_key FROM vault.subject AS s
        WHERE s.tenant_id = of_tenant AND s.blind_index = asked.blind_index LIMIT 1
    ) AS found;
END
$$;
