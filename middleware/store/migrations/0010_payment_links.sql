-- The payment pages at Stripe that were made for invoices. A row is there before Stripe is asked for its page.
CREATE TABLE payment_links (
    -- Invoice Ninja's id of the invoice, and the how manyth link of it this is.
    invoice_id     text        NOT NULL,
    generation     integer     NOT NULL,
    -- Its mark in the metadata at Stripe and in the idempotency key.
    token          text        NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    invoice_number text        NOT NULL,
    client_id      text        NOT NULL,
    -- Minor units of the currency, by Stripe's own table of decimals.
    currency       text        NOT NULL,
    amount         bigint      NOT NULL,
    state          text        NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'open', 'retired')),
    -- Stripe's id and address; '' while it is only planned.
    link_id        text        NOT NULL DEFAULT '',
    url            text        NOT NULL DEFAULT '',
    why            text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (invoice_id, generation)
);
CREATE INDEX payment_links_link ON payment_links (link_id) WHERE link_id <> '';
CREATE INDEX payment_links_live ON payment_links (invoice_id) WHERE state <> 'retired';
