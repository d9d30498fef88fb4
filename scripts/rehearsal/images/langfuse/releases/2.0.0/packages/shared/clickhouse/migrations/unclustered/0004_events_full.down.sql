DROP TABLE IF EXISTS events_core;
DROP TABLE IF EXISTS events_full;
