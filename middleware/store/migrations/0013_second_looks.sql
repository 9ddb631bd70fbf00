-- Subjects of which a request may still be carried out though we gave it up: they are looked at once more, later.
CREATE TABLE second_looks (
    subject  text PRIMARY KEY,
    -- The event of the last such try, and which request it was.
    event_id bigint      NOT NULL,
    why      text        NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX second_looks_asked ON second_looks (asked_at);
