-- Plans of invoice runs: what would be made, what is left out and why. The id is a hash of the content.
CREATE TABLE invoice_plans (
    id         text PRIMARY KEY,
    period     jsonb       NOT NULL,
    left_out   jsonb       NOT NULL DEFAULT '[]',
    warnings   jsonb       NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row per planned invoice, so that the work of one client is read without the others.
CREATE TABLE planned_invoices (
    plan_id        text        NOT NULL REFERENCES invoice_plans ON DELETE CASCADE,
    client_id      text        NOT NULL,
    -- '' for a whole client, else the project that the invoice is for.
    scope          text        NOT NULL,
    content        jsonb       NOT NULL,
    -- Invoice Ninja's id and number; '' until it is made.
    invoice_id     text        NOT NULL DEFAULT '',
    invoice_number text        NOT NULL DEFAULT '',
    amount         numeric,
    note           text        NOT NULL DEFAULT '',
    made_at        timestamptz,
    PRIMARY KEY (plan_id, client_id, scope)
);
CREATE INDEX planned_invoices_invoice ON planned_invoices (invoice_id) WHERE invoice_id <> '';

-- Since when a calendar of runs is known: runs that were due before are not made up for.
CREATE TABLE invoice_calendars (
    name        text PRIMARY KEY,
    known_since timestamptz NOT NULL
);
