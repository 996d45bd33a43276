-- +goose Up
-- One subset of SQL for SQLite and PostgreSQL: TEXT, BIGINT, no database's own
-- functions. Times are BIGINT microseconds since 1970 UTC; JSON and hashes TEXT.

-- One row for each version of each record that was ever seen.
CREATE TABLE documents (
    id       BIGINT NOT NULL PRIMARY KEY,
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
    body     TEXT NOT NULL          -- minimised fields
);
CREATE UNIQUE INDEX documents_version ON documents (partner, site, doctype, name, version);
CREATE INDEX documents_seen ON documents (partner, seen);

-- The live version of each record, so that an unchanged one costs one look.
CREATE TABLE heads (
    partner  TEXT NOT NULL,
    site     TEXT NOT NULL,
    doctype  TEXT NOT NULL,
    name     TEXT NOT NULL,
    version  BIGINT NOT NULL,
    stamp    TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    gone     BIGINT NOT NULL,
    PRIMARY KEY (partner, site, doctype, name)
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
CREATE TABLE reach (
    partner TEXT NOT NULL,
    site    TEXT NOT NULL,
    seen    BIGINT NOT NULL,
    sha256  TEXT NOT NULL,
    body    TEXT NOT NULL,          -- {"gaps":[…],"coverage":[…],"site":{…}}
    PRIMARY KEY (partner, site, seen)
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

-- Every committed assessment; the newest of a key is the current one.
CREATE TABLE assessments (
    id       BIGINT NOT NULL PRIMARY KEY,
    key      TEXT NOT NULL,
    partner  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    as_of    BIGINT NOT NULL,
    snapshot TEXT NOT NULL,
    pack     TEXT NOT NULL,
    sha256   TEXT NOT NULL,         -- of body without as_of: equal means no news
    body     TEXT NOT NULL
);
CREATE INDEX assessments_partner ON assessments (partner, kind, as_of);
CREATE INDEX assessments_key ON assessments (key, as_of);

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

-- Changes on their way to the PRM, in order for each partner.
CREATE TABLE outbox (
    id       BIGINT NOT NULL PRIMARY KEY,
    partner  TEXT NOT NULL,
    idem_key TEXT NOT NULL,
    doctype  TEXT NOT NULL,
    key      TEXT NOT NULL,
    body     TEXT NOT NULL,         -- plan.Change as JSON
    created  BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at  BIGINT NOT NULL,
    state    TEXT NOT NULL,         -- waiting, parked, sent, dropped
    sent     BIGINT NOT NULL,
    last_error TEXT NOT NULL
);
CREATE UNIQUE INDEX outbox_idem ON outbox (idem_key) WHERE state = 'waiting' OR state = 'parked';
CREATE INDEX outbox_due ON outbox (state, partner, id);

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
DROP TABLE reach;
DROP TABLE cursors;
DROP TABLE heads;
DROP TABLE documents;
