ALTER TABLE events UPDATE source = 'copied' WHERE source = 'migrated';
