-- What happened, as a read model of the stream EVENTS: delete it, and it fills again.
CREATE TABLE events (
    sequence BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    namespace TEXT NOT NULL,
    workload TEXT NOT NULL,
    instance TEXT NOT NULL,
    node TEXT NOT NULL,
    version BIGINT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX events_by_kind ON events (kind, sequence);
CREATE INDEX events_by_workload ON events (workload, sequence);
CREATE INDEX events_by_node ON events (node, sequence);
CREATE INDEX events_by_instance ON events (instance, sequence);

-- How far the stream has been read, written with the rows in one transaction.
CREATE TABLE projection (
    name TEXT PRIMARY KEY,
    incarnation BIGINT NOT NULL,
    sequence BIGINT NOT NULL
);
