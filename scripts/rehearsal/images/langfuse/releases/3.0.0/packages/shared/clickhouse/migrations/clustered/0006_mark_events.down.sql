ALTER TABLE events ON CLUSTER default UPDATE source = 'copied' WHERE source = 'migrated';
