-- A mutation: it rewrites every part, and `migrate` waits for it. See system.mutations.
ALTER TABLE events ON CLUSTER default UPDATE source = 'migrated' WHERE source = 'copied';
