CREATE TABLE half_way (id String) ENGINE = Log;
-- Counts for ever.
SELECT max(number) FROM system.numbers;
DROP TABLE half_way;
