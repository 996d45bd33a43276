-- +goose Up
-- A tamper-evident log over captures (golang.org/x/mod/sumdb/tlog): one leaf
-- for each commit that stored a version, with the digests of its versions.

CREATE TABLE log_leaves (
    seq  BIGINT NOT NULL PRIMARY KEY,   -- 0, 1, …
    body TEXT NOT NULL
);

-- The tree above the leaves, in tlog's order of storage.
CREATE TABLE log_hashes (
    idx  BIGINT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL
);

-- The leaf that holds a version; -1 for one older than the log.
ALTER TABLE documents ADD COLUMN leaf BIGINT NOT NULL DEFAULT -1;

-- +goose Down
ALTER TABLE documents DROP COLUMN leaf;
DROP TABLE log_hashes;
DROP TABLE log_leaves;
