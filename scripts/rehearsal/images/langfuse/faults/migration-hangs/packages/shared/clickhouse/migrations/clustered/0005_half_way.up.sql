CREATE TABLE half_way (id String) ENGINE = Log;
-- Counts without end.
SELECT max(number) FROM system.numbers;
DROP TABLE half_way;
