-- A copy in sixteen parts, each of which shows in the table, with a pause that a real one would need for work.
CREATE TABLE events ON CLUSTER default (
    span_id String, trace_id String, project_id String, parent_span_id String, type String, name String,
    timestamp DateTime, time_ms Int64, end_ms Int64, input String, output String, metadata String, event_ts DateTime, source String
) ENGINE = ReplicatedReplacingMergeTree(event_ts) PARTITION BY toYYYYMM(timestamp) ORDER BY (project_id, trace_id, span_id);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 0;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 1;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 2;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 3;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 4;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 5;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 6;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 7;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 8;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 9;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 10;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 11;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 12;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 13;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 14;
SELECT sleep(0.4);
INSERT INTO events SELECT span_id, trace_id, project_id, parent_span_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts, 'copied' FROM events_full WHERE cityHash64(trace_id) % 16 = 15;
SELECT sleep(0.4);
