-- What the last looks at Taiga found, so that the next one asks only for what may have changed.
CREATE TABLE seen (
    subject     text PRIMARY KEY,
    project_id  bigint      NOT NULL,
    kind        text        NOT NULL,
    item_id     bigint      NOT NULL,
    state       text        NOT NULL CHECK (state IN ('closed', 'open', 'gone')),
    -- Marks: of the row in Taiga's list, and of the content that was last found known or put in.
    row_mark    text        NOT NULL,
    content     text        NOT NULL,
    -- How often its state was put into the events: part of their keys.
    puts        integer     NOT NULL DEFAULT 0,
    read_at     timestamptz NOT NULL
);
CREATE INDEX seen_oldest_read ON seen (read_at) WHERE state = 'closed';
CREATE INDEX seen_project ON seen (project_id, kind);

-- The runs of reconciling, newest last; the last ones are kept.
CREATE TABLE reconcile_runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text        NOT NULL,
    scope       text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    looked_at   integer     NOT NULL DEFAULT 0,
    items_read  integer     NOT NULL DEFAULT 0,
    differed    integer     NOT NULL DEFAULT 0,
    postponed   integer     NOT NULL DEFAULT 0,
    message     text        NOT NULL DEFAULT ''
);

-- What the workers do by the clock: whoever moves next_at on does it. A tick that nobody was there for is made up for.
CREATE TABLE ticks (
    name        text PRIMARY KEY,
    next_at     timestamptz NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz,
    message     text        NOT NULL DEFAULT ''
);
