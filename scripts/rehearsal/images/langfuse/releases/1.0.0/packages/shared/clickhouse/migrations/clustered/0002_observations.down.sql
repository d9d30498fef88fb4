DROP TABLE IF EXISTS observations ON CLUSTER default;
