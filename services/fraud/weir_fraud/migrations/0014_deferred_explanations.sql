-- A decision whose explanation was put off, because too many waited, has no contributions and no reason codes yet: they are filled in
-- from its snapshot of features. Nothing else of a decision ever changes.

COMMENT ON COLUMN decision.contributions IS 'in the order of feature_values; empty: the explanation is deferred';

CREATE FUNCTION note_unexplained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fraud.unfinished_work (task, work)
        VALUES ('explain', jsonb_build_object('tenant_id', NEW.tenant_id, 'event_id', NEW.event_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER note_unexplained AFTER INSERT ON decision FOR EACH ROW
    WHEN (cardinality(NEW.contributions) < cardinality(NEW.feature_values)) EXECUTE FUNCTION note_unexplained();
