-- People who may look at the dashboard; `admin` may also act.
CREATE TABLE users (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text        NOT NULL UNIQUE,
    role                text        NOT NULL CHECK (role IN ('viewer', 'admin')),
    -- argon2id with its parameters and salt.
    password_hash       text        NOT NULL,
    is_disabled         boolean     NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    signed_in_at        timestamptz
);

-- Only the hash of a session's token is kept: whoever reads this table cannot use it.
CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users ON DELETE CASCADE,
    csrf_token text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Wrong passwords of the last minutes, for throttling; older rows are cleared away.
CREATE TABLE sign_in_failures (
    name      text        NOT NULL,
    address   text        NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sign_in_failures_address ON sign_in_failures (address, failed_at);
CREATE INDEX sign_in_failures_time ON sign_in_failures (failed_at);

-- Who did what and when. `actor` is a user of the dashboard, `cli:<operating system user>` or `system`.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text        NOT NULL,
    action  text        NOT NULL,
    summary text        NOT NULL,
    details jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_action ON audit (action, id);

-- Which events an action touched; kept when the events are deleted.
CREATE TABLE audit_events (
    event_id bigint NOT NULL,
    audit_id bigint NOT NULL REFERENCES audit ON DELETE CASCADE,
    PRIMARY KEY (event_id, audit_id)
);
