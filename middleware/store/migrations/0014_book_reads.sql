-- How far Invoice Ninja's books were read to their end last; no row: never, and what is known of them may be a part.
CREATE TABLE book_reads (
    is_only         boolean     PRIMARY KEY DEFAULT true CHECK (is_only),
    -- When that read began.
    read_at         timestamptz NOT NULL,
    -- The newest change that was known at its end, unix seconds by Invoice Ninja's clock.
    changed_through bigint      NOT NULL
);
