-- What programs compare of an outcome (mappings/codes.py); '' for what was not settled yet, and for what an older
-- version settled.
ALTER TABLE events ADD COLUMN outcome_code text NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN outcome_code text NOT NULL DEFAULT '';
