-- How far the ledger knows what the archive holds, so that it is told of every committed record once.

CREATE TABLE archive_entered (
    lake_table  text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (lake_table, partition)
);
COMMENT ON TABLE archive_entered IS 'no tenant data: positions on the log, behind which the ledger has the archive''s entries';
