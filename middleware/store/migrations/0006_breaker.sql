-- What all workers together know of each remote system: one row each, closed (`open_since` is null) or left alone.
CREATE TABLE circuits (
    system     text PRIMARY KEY,
    failures   integer     NOT NULL DEFAULT 0,
    subject    text        NOT NULL DEFAULT '',
    is_mixed   boolean     NOT NULL DEFAULT false,
    open_since timestamptz,
    probe_at   timestamptz,
    probes     integer     NOT NULL DEFAULT 0,
    message    text        NOT NULL DEFAULT ''
);
