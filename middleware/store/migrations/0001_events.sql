-- The row is the truth: a webhook is acknowledged only after its row here is committed.
CREATE TABLE events (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source            text        NOT NULL,
    type              text        NOT NULL,
    key               text        NOT NULL,
    subject           text        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    received_at       timestamptz NOT NULL DEFAULT now(),
    body              bytea       NOT NULL,
    headers           jsonb       NOT NULL DEFAULT '{}',
    status            text        NOT NULL DEFAULT 'received'
        CHECK (status IN ('received', 'processing', 'retrying', 'processed', 'ignored', 'dead', 'discarded')),
    attempts          integer     NOT NULL DEFAULT 0,
    next_attempt_at   timestamptz NOT NULL DEFAULT now(),
    -- When the present series of attempts began; a replay begins a new one.
    series_started_at timestamptz NOT NULL DEFAULT now(),
    finished_at       timestamptz,
    reason            text        NOT NULL DEFAULT '',
    hint              text        NOT NULL DEFAULT '',
    CONSTRAINT events_key UNIQUE (source, key)
);

-- Waiting rows only, oldest first: stays small however many events are stored.
CREATE INDEX events_waiting ON events (next_attempt_at, id) WHERE status IN ('received', 'retrying');
CREATE INDEX events_processing ON events (subject) WHERE status = 'processing';
CREATE INDEX events_dead ON events (id) WHERE status = 'dead';
-- The newest known state of a subject; also its timeline.
CREATE INDEX events_subject ON events (subject, occurred_at DESC, id DESC);

-- One row per try, with the outbound calls it made: [{method, path, status, ms, error}]; never a secret.
CREATE TABLE attempts (
    event_id    bigint      NOT NULL REFERENCES events ON DELETE CASCADE,
    number      integer     NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms integer     NOT NULL,
    outcome     text        NOT NULL,
    reason      text        NOT NULL DEFAULT '',
    calls       jsonb       NOT NULL DEFAULT '[]',
    PRIMARY KEY (event_id, started_at, number)
);

-- What was made where: the memory of effects.
CREATE TABLE links (
    subject    text        NOT NULL,
    kind       text        NOT NULL,
    number     text        NOT NULL,
    remote_id  text        NOT NULL,
    state      jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, kind, number)
);
CREATE INDEX links_remote ON links (kind, remote_id);

-- What only a person may decide.
CREATE TABLE reviews (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    text        NOT NULL,
    kind       text        NOT NULL,
    summary    text        NOT NULL,
    details    jsonb       NOT NULL DEFAULT '{}',
    opened_at  timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    closed_at  timestamptz,
    closed_why text        NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX reviews_open ON reviews (subject, kind) WHERE closed_at IS NULL;

-- What the workers last learned of each remote system, for readiness and `check`.
CREATE TABLE remotes (
    system     text PRIMARY KEY,
    state      text        NOT NULL CHECK (state IN ('ok', 'refused', 'unreachable')),
    since      timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    message    text        NOT NULL DEFAULT ''
);

-- Running workers: each refreshes its row; readiness asks for a fresh one.
CREATE TABLE workers (
    id         text PRIMARY KEY,
    version    text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);
