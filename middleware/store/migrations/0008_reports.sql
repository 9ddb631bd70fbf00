-- How many events arrived each day (UTC), so that no page counts all of them. `middleware.store.events.statistics` adds up.
CREATE TABLE event_days (
    day     date        NOT NULL,
    source  text        NOT NULL,
    type    text        NOT NULL,
    events  bigint      NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (day, source, type)
);
CREATE INDEX event_days_source ON event_days (source, last_at DESC);

-- One row: all events up to this id are in `event_days`.
CREATE TABLE event_days_through (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    event_id bigint  NOT NULL
);
INSERT INTO event_days_through (event_id) VALUES (0);

-- The time entries of `links` in columns, for sums; the trigger keeps it in step.
CREATE TABLE recorded_time (
    subject          text        NOT NULL,
    number           text        NOT NULL,
    remote_id        text        NOT NULL,
    client_id        text        NOT NULL,
    project_id       text        NOT NULL,
    taiga_project_id bigint,
    person           text        NOT NULL,
    description      text        NOT NULL,
    hours            numeric     NOT NULL,
    raw_hours        numeric     NOT NULL,
    rate             numeric     NOT NULL,
    ended_at         timestamptz NOT NULL,
    -- Of the link `invoiced` with the same number; '' while no invoice bills it.
    invoice_id       text        NOT NULL DEFAULT '',
    invoice_number   text        NOT NULL DEFAULT '',
    PRIMARY KEY (subject, number)
);
CREATE INDEX recorded_time_unbilled ON recorded_time (client_id) INCLUDE (hours, ended_at) WHERE invoice_id = '';
CREATE INDEX recorded_time_invoice ON recorded_time (invoice_id) WHERE invoice_id <> '';
CREATE INDEX recorded_time_end ON recorded_time (ended_at DESC, subject, number);

CREATE FUNCTION recorded_time_follows_links() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sent jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM recorded_time WHERE OLD.kind = 'time_entry' AND subject = OLD.subject AND number = OLD.number;
        UPDATE recorded_time SET invoice_id = '', invoice_number = ''
        WHERE OLD.kind = 'invoiced' AND subject = OLD.subject AND number = OLD.number;
        RETURN NULL;
    END IF;
    IF NEW.kind = 'invoiced' THEN
        UPDATE recorded_time SET invoice_id = NEW.remote_id,
            invoice_number = coalesce(NEW.state ->> 'invoice_number', '')
        WHERE subject = NEW.subject AND number = NEW.number;
        RETURN NULL;
    END IF;
    sent := NEW.state -> 'sent';
    -- An intent that was not carried out yet, or an entry that was taken out again.
    IF sent ->> 'hours' IS NULL OR sent ->> 'ended_at' IS NULL OR coalesce((NEW.state ->> 'is_removed')::boolean, false)
    THEN
        DELETE FROM recorded_time WHERE subject = NEW.subject AND number = NEW.number;
        RETURN NULL;
    END IF;
    INSERT INTO recorded_time (subject, number, remote_id, client_id, project_id, taiga_project_id, person, description,
        hours, raw_hours, rate, ended_at, invoice_id, invoice_number)
    SELECT NEW.subject, NEW.number, NEW.remote_id, coalesce(sent ->> 'client_id', ''),
        coalesce(sent ->> 'project_id', ''), (NEW.state -> 'origin' ->> 'taiga_project_id')::bigint,
        coalesce(NEW.state -> 'origin' ->> 'person', ''), coalesce(sent ->> 'description', ''),
        (sent ->> 'hours')::numeric, coalesce(sent ->> 'raw_hours', sent ->> 'hours')::numeric,
        coalesce(sent ->> 'rate', '0')::numeric, to_timestamp((sent ->> 'ended_at')::double precision),
        coalesce(i.remote_id, ''), coalesce(i.state ->> 'invoice_number', '')
    FROM (SELECT 1) AS one
    LEFT JOIN links i ON i.subject = NEW.subject AND i.kind = 'invoiced' AND i.number = NEW.number
    ON CONFLICT (subject, number) DO UPDATE SET remote_id = excluded.remote_id, client_id = excluded.client_id,
        project_id = excluded.project_id, taiga_project_id = excluded.taiga_project_id, person = excluded.person,
        description = excluded.description, hours = excluded.hours, raw_hours = excluded.raw_hours,
        rate = excluded.rate, ended_at = excluded.ended_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_recorded_time AFTER INSERT OR UPDATE ON links FOR EACH ROW
    WHEN (NEW.kind IN ('time_entry', 'invoiced')) EXECUTE FUNCTION recorded_time_follows_links();
CREATE TRIGGER links_recorded_time_gone AFTER DELETE ON links FOR EACH ROW
    WHEN (OLD.kind IN ('time_entry', 'invoiced')) EXECUTE FUNCTION recorded_time_follows_links();

-- What is there already passes through the trigger once.
UPDATE links SET state = state WHERE kind IN ('time_entry', 'invoiced');

-- Payments as people look at them: newest first, and the money of a month.
CREATE INDEX payments_newest ON payments (created_at DESC, identity);
CREATE INDEX payments_paid ON payments (paid_at) WHERE paid_at IS NOT NULL;

-- What Invoice Ninja's books said when they were read last, for pages; never used to decide anything.
CREATE TABLE book_clients (
    client_id text PRIMARY KEY,
    name      text NOT NULL,
    -- ISO code; '' when it is not known.
    currency  text NOT NULL
);
CREATE TABLE book_invoices (
    invoice_id text PRIMARY KEY,
    number     text    NOT NULL,
    client_id  text    NOT NULL,
    status_id  text    NOT NULL,
    amount     numeric NOT NULL,
    balance    numeric NOT NULL,
    date       date,
    due_date   date,
    is_deleted boolean NOT NULL,
    -- Unix seconds, by Invoice Ninja's clock.
    updated_at bigint  NOT NULL
);
CREATE INDEX book_invoices_date ON book_invoices (coalesce(date, '-infinity'), invoice_id) WHERE NOT is_deleted;
CREATE INDEX book_invoices_open ON book_invoices (due_date)
    WHERE NOT is_deleted AND balance > 0 AND status_id IN ('2', '3');
CREATE INDEX book_invoices_updated ON book_invoices (updated_at);
CREATE INDEX invoice_plans_newest ON invoice_plans (created_at DESC, id);
