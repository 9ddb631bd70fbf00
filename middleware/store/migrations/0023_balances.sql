-- The last balance of each kind ('hours', 'money'): what does not add up is on the overview, and alerts.
CREATE TABLE balances (
    kind       text        PRIMARY KEY,
    made_at    timestamptz NOT NULL,
    -- In hours, or in the number of sums that are off; 0 when everything adds up.
    difference numeric     NOT NULL,
    summary    text        NOT NULL,
    content    jsonb       NOT NULL
);
