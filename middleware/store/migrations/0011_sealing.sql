-- The keys that stored bodies are sealed with, by fingerprint: a process that has not all of them does not start.
CREATE TABLE sealing_keys (
    fingerprint text PRIMARY KEY,
    first_at    timestamptz NOT NULL DEFAULT now(),
    -- Nothing is plain, or sealed with an older key, any more.
    is_done     boolean     NOT NULL DEFAULT false
);
