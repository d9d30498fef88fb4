CREATE TABLE traces ON CLUSTER default (
    id String, project_id String, name String, timestamp DateTime, time_ms Int64,
    user_id String, session_id String, metadata String, event_ts DateTime
) ENGINE = ReplicatedReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, id);
