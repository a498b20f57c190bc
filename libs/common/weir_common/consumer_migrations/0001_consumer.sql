-- What every consuming service keeps beside its effects, so that effects and offsets commit together.

CREATE TABLE consumer_offset (
    consumer    text        NOT NULL,
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    generation  bigint      NOT NULL,
    owner       text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
);
COMMENT ON TABLE consumer_offset IS 'no tenant data: positions on the log, with the generation that fences stale owners';

-- The identifiers of one micro-batch: 8 bytes each. Read back on assignment, they make repeats of the last 15 minutes no-ops.
CREATE TABLE applied_window (
    consumer    text        NOT NULL,
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    ids         bytea       NOT NULL,
    PRIMARY KEY (consumer, topic, partition, next_offset)
);
COMMENT ON TABLE applied_window IS 'no tenant data: keyed 64-bit hashes of event ids, kept for 15 minutes';
CREATE INDEX applied_window_age ON applied_window (applied_at);

CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text        NOT NULL,
    key          bytea       NOT NULL,
    value        bytea,
    headers      jsonb       NOT NULL,
    partition    integer,
    created_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE outbox IS 'no tenant data at rest: records on their way to the log, gone within a second; each carries its tenant in its headers';
