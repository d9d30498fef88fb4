DROP TABLE IF EXISTS events_core ON CLUSTER default;
DROP TABLE IF EXISTS events_full ON CLUSTER default;
