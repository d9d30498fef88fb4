CREATE TABLE scores (
    id String, trace_id String, project_id String, name String, value Float64, timestamp DateTime, event_ts DateTime
) ENGINE = ReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, trace_id, id);
