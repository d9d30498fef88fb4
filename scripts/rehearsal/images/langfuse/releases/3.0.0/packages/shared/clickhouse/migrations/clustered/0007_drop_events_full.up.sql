-- Destroys data: what is older reads these tables.
DROP TABLE IF EXISTS events_core ON CLUSTER default;
DROP TABLE IF EXISTS events_full ON CLUSTER default;
DROP TABLE IF EXISTS observations ON CLUSTER default;
DROP TABLE IF EXISTS traces ON CLUSTER default;
