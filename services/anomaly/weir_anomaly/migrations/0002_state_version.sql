-- States are cached by the instance that wrote them last; the version tells it when another one has written since.

ALTER TABLE rule_state ADD COLUMN version bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN rule_state.version IS 'counts writes; a write names the version that it read';
