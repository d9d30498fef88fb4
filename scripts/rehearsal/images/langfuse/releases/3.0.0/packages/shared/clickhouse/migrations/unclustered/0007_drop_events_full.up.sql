-- Destroys data: what is older reads these tables.
DROP TABLE IF EXISTS events_core;
DROP TABLE IF EXISTS events_full;
DROP TABLE IF EXISTS observations;
DROP TABLE IF EXISTS traces;
