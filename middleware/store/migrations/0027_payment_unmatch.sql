-- The newest `payments unmatch` that was carried out: it is done once, and money that is recorded later stays.
ALTER TABLE payments ADD COLUMN unmatched_at timestamptz;
