-- outside a transaction: the table of events may be large, and receivers write into it.
-- Lists of people: by type, and what was discarded.
DROP INDEX CONCURRENTLY IF EXISTS events_type;
CREATE INDEX CONCURRENTLY events_type ON events (type, id);
DROP INDEX CONCURRENTLY IF EXISTS events_discarded;
CREATE INDEX CONCURRENTLY events_discarded ON events (id) WHERE status = 'discarded';
