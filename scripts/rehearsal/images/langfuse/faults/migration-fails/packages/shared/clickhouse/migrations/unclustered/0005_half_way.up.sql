CREATE TABLE half_way (id String) ENGINE = Log;
INSERT INTO half_way SELECT id FROM a_table_that_is_not_there;
DROP TABLE half_way;
