-- What needs a person and was, or will be, told by an alert. A row lives until its end was told.
CREATE TABLE alerts (
    kind         text        NOT NULL,
    key          text        NOT NULL,
    summary      text        NOT NULL,
    since        timestamptz NOT NULL,
    told_at      timestamptz,
    recovered_at timestamptz,
    PRIMARY KEY (kind, key)
);

-- When a message of a kind was sent last, so that a restart neither repeats one nor forgets the pause.
CREATE TABLE alert_kinds (
    kind      text PRIMARY KEY,
    sent_at   timestamptz,
    failed_at timestamptz,
    failures  integer NOT NULL DEFAULT 0,
    message   text    NOT NULL DEFAULT ''
);
