-- +goose Up
-- One subset of SQL for SQLite and PostgreSQL: TEXT, BIGINT, no database's own
-- functions. Times are BIGINT microseconds since 1970 UTC; JSON and hashes TEXT.

-- One row for each version of each record that was ever seen. Numbers for new
-- versions come from heads, so seen never falls as version grows.
CREATE TABLE documents (
    partner  TEXT NOT NULL,
    site     TEXT NOT NULL,
    doctype  TEXT NOT NULL,
    name     TEXT NOT NULL,
    version  BIGINT NOT NULL,       -- 1, 2, … for each record
    stamp    TEXT NOT NULL,         -- modified as the site spelled it
    modified BIGINT NOT NULL,       -- the same in UTC; 0 when unreadable
    created  BIGINT NOT NULL,
    owner    TEXT NOT NULL,
    seen     BIGINT NOT NULL,
    gone     BIGINT NOT NULL,       -- 1: this version records a disappearance
    renamed_to TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    body     TEXT NOT NULL,         -- minimised fields
    PRIMARY KEY (partner, site, doctype, name, version)
);

-- The newest version of each record, so that an unchanged one costs one look.
CREATE TABLE heads (
    partner  TEXT NOT NULL,
    site     TEXT NOT NULL,
    doctype  TEXT NOT NULL,
    name     TEXT NOT NULL,
    version  BIGINT NOT NULL,
    stamp    TEXT NOT NULL,
    seen     BIGINT NOT NULL,
    gone     BIGINT NOT NULL,
    sha256   TEXT NOT NULL,
    PRIMARY KEY (partner, site, doctype, name)
);

-- Numbers handed out inside transactions: the row's lock keeps them in the
-- order of commits on any database.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

-- Where each stream stands. Committed together with the documents it covers.
CREATE TABLE cursors (
    partner   TEXT NOT NULL,
    site      TEXT NOT NULL,
    stream    TEXT NOT NULL,
    stamp     TEXT NOT NULL,        -- modified of the last row, as spelled
    name      TEXT NOT NULL,        -- name of the last row
    fields    TEXT NOT NULL,        -- digest of the field list; a new one re-reads
    last_success  BIGINT NOT NULL,
    last_complete BIGINT NOT NULL,
    PRIMARY KEY (partner, site, stream)
);

-- What was known about reach, as history: gaps and coverage at an instant.
-- Most polls change nothing but the time, so the bodies are kept apart, with
-- times equal to seen left out, and each poll costs one short row.
CREATE TABLE reach (
    partner TEXT NOT NULL,
    site    TEXT NOT NULL,
    seen    BIGINT NOT NULL,
    sha256  TEXT NOT NULL,          -- of its body
    PRIMARY KEY (partner, site, seen)
);
CREATE INDEX reach_sha256 ON reach (sha256);
CREATE TABLE reach_bodies (
    sha256  TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
);

-- Inputs of a verdict that are not evidence: pack, mapping, overrides, people's
-- decisions. The newest at or before an instant is the one that held then.
CREATE TABLE inputs (
    kind    TEXT NOT NULL,          -- pack, mapping, people, policy, partner
    subject TEXT NOT NULL,          -- partner key, pack name, …
    seen    BIGINT NOT NULL,
    sha256  TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (kind, subject, seen)
);

-- Meta of a site's doctypes and other things asked seldom.
CREATE TABLE cache (
    partner TEXT NOT NULL,
    site    TEXT NOT NULL,
    item    TEXT NOT NULL,          -- "meta:Task", "versions", "zone"
    stamp   TEXT NOT NULL,
    fetched BIGINT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (partner, site, item)
);

-- Due times as rows: the dispatcher only decides who runs what now.
CREATE TABLE schedule (
    job      TEXT NOT NULL PRIMARY KEY,  -- "poll:meridian", "prm", "retention"
    spec     TEXT NOT NULL,
    next_due BIGINT NOT NULL,
    last_start BIGINT NOT NULL,
    last_end BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_error TEXT NOT NULL
);

-- One row for each assessment that brought news. A later one that says the
-- same moves held_until and replaces the body, which then differs in ages only.
CREATE TABLE assessments (
    id       BIGINT NOT NULL PRIMARY KEY,
    key      TEXT NOT NULL,
    partner  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    as_of    BIGINT NOT NULL,       -- first instant at which it held
    held_until BIGINT NOT NULL,     -- last instant at which it held
    sha256   TEXT NOT NULL,         -- of what it says, ages left out
    body     TEXT NOT NULL
);
CREATE INDEX assessments_partner ON assessments (partner, kind, as_of);
CREATE INDEX assessments_key ON assessments (key, id);

-- What the PRM is believed to hold: the third side of every merge.
CREATE TABLE known (
    doctype  TEXT NOT NULL,
    key      TEXT NOT NULL,
    partner  TEXT NOT NULL,
    name     TEXT NOT NULL,
    modified TEXT NOT NULL,
    written  BIGINT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (doctype, key)
);
CREATE INDEX known_partner ON known (partner);

-- Changes on their way to the PRM. seq is the order of the newest plan of the
-- partner; id never changes, so that an answer finds its row.
CREATE TABLE outbox (
    id       BIGINT NOT NULL PRIMARY KEY,
    seq      BIGINT NOT NULL,
    partner  TEXT NOT NULL,
    idem_key TEXT NOT NULL,
    doctype  TEXT NOT NULL,
    name     TEXT NOT NULL,         -- the record on the PRM, or its key
    file     TEXT NOT NULL,         -- file name of an attachment; else ''
    body     TEXT NOT NULL,         -- plan.Change as JSON
    created  BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at  BIGINT NOT NULL,       -- not before
    state    TEXT NOT NULL,         -- waiting, parked, sent, dropped, replaced
    ended    BIGINT NOT NULL,       -- when it was sent, dropped or replaced
    last_error TEXT NOT NULL
);
CREATE UNIQUE INDEX outbox_open ON outbox (idem_key) WHERE state IN ('waiting', 'parked');
CREATE INDEX outbox_due ON outbox (state, partner, seq);
CREATE INDEX outbox_record ON outbox (doctype, name, id);

-- Alerts by episode, so that a restart neither repeats nor forgets one.
CREATE TABLE alerts (
    key      TEXT NOT NULL PRIMARY KEY,
    rule     TEXT NOT NULL,
    partner  TEXT NOT NULL,
    subject  TEXT NOT NULL,
    pending  BIGINT NOT NULL,       -- first seen true
    fired    BIGINT NOT NULL,       -- 0 while held down
    resolved BIGINT NOT NULL,       -- 0 while true
    body     TEXT NOT NULL
);
CREATE INDEX alerts_open ON alerts (resolved, partner);

-- Brakes that wait for a person.
CREATE TABLE brakes (
    id       TEXT NOT NULL PRIMARY KEY,
    kind     TEXT NOT NULL,         -- delete, change
    subject  TEXT NOT NULL,
    tripped  BIGINT NOT NULL,
    released BIGINT NOT NULL,       -- 0 while it holds
    by_whom  TEXT NOT NULL,
    body     TEXT NOT NULL
);

-- +goose Down
DROP TABLE brakes;
DROP TABLE alerts;
DROP TABLE outbox;
DROP TABLE known;
DROP TABLE assessments;
DROP TABLE schedule;
DROP TABLE cache;
DROP TABLE inputs;
DROP TABLE reach_bodies;
DROP TABLE reach;
DROP TABLE cursors;
DROP TABLE counters;
DROP TABLE heads;
DROP TABLE documents;
