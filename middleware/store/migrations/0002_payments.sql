-- What is known of each payment at Stripe and what was made of it in Invoice Ninja.
CREATE TABLE payments (
    -- Payment intent (pi_), charge without an intent (ch_, py_), or Stripe invoice paid past Stripe (in_).
    identity        text PRIMARY KEY,
    subject         text        NOT NULL,
    status          text        NOT NULL,
    reason          text        NOT NULL DEFAULT '',
    -- Minor units of the currency, by Stripe's own table of decimals.
    currency        text        NOT NULL DEFAULT '',
    amount          bigint      NOT NULL DEFAULT 0,
    refunded        bigint      NOT NULL DEFAULT 0,
    fee             bigint,
    fee_currency    text        NOT NULL DEFAULT '',
    customer        text        NOT NULL DEFAULT '',
    payer           text        NOT NULL DEFAULT '',
    paid_at         timestamptz,
    livemode        boolean,
    -- Invoice Ninja's ids and numbers; '' while there are none.
    client_id       text        NOT NULL DEFAULT '',
    invoice_id      text        NOT NULL DEFAULT '',
    invoice_number  text        NOT NULL DEFAULT '',
    payment_id      text        NOT NULL DEFAULT '',
    payment_number  text        NOT NULL DEFAULT '',
    matched_by      text        NOT NULL DEFAULT '',
    -- The kind of payment (Invoice Ninja's type_id) that was sent last.
    type_id         text        NOT NULL DEFAULT '',
    -- The most that this payment ever covered of its invoice, in the currency's units.
    covered         numeric,
    -- The last payment sent to Invoice Ninja: equal ones of a client must be 1.2 seconds apart.
    posted_at       timestamptz,
    posted_amount   numeric,
    -- The due date before a failure made the invoice overdue, and the one that was set.
    due_date_before text,
    due_date_set    text,
    -- Digests of the notes that were written.
    notes           jsonb       NOT NULL DEFAULT '[]',
    candidates      jsonb       NOT NULL DEFAULT '[]',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_status ON payments (status, identity);
CREATE INDEX payments_invoice ON payments (invoice_id) WHERE invoice_id <> '';
CREATE INDEX payments_customer ON payments (customer) WHERE customer <> '';
CREATE INDEX payments_posted ON payments (client_id, posted_at) WHERE posted_at IS NOT NULL;

-- Which payments belong to a Stripe invoice whose own events do not name them (API versions since 2025-03-31).
CREATE TABLE payment_aliases (
    subject    text        NOT NULL,
    payment    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, payment)
);
CREATE INDEX payment_aliases_payment ON payment_aliases (payment);
