-- Requests that were refused, a row for each sender, reason and minute; the oldest rows give way to new ones.
CREATE TABLE rejections (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source   text        NOT NULL,
    reason   text        NOT NULL,
    message  text        NOT NULL,
    address  text        NOT NULL,
    minute   timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    requests bigint      NOT NULL,
    -- Of the first of them: some headers, and the beginning of the body (at most 2 KiB).
    headers  jsonb       NOT NULL DEFAULT '{}',
    sample   bytea       NOT NULL DEFAULT '',
    CONSTRAINT rejections_group UNIQUE (source, reason, address, minute)
);

-- Which webhook key proved a delivery last: an old key may be removed when it is used no more. Never the key itself.
CREATE TABLE key_uses (
    source      text        NOT NULL,
    fingerprint text        NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (source, fingerprint)
);
