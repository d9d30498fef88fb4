CREATE TABLE observations (
    id String, trace_id String, project_id String, parent_observation_id String, type String, name String,
    timestamp DateTime, time_ms Int64, end_ms Int64, input String, output String, metadata String, event_ts DateTime
) ENGINE = ReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, trace_id, id);
