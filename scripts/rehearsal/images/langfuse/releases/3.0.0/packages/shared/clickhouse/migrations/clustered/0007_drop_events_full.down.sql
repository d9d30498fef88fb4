-- The tables come back empty.
CREATE TABLE events_full ON CLUSTER default (
    span_id String, trace_id String, project_id String, parent_span_id String, type String, name String,
    timestamp DateTime, time_ms Int64, end_ms Int64, input String, output String, metadata String, event_ts DateTime
) ENGINE = ReplicatedReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, trace_id, span_id);
CREATE TABLE events_core ON CLUSTER default AS events_full
    ENGINE = ReplicatedReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, trace_id, span_id);
