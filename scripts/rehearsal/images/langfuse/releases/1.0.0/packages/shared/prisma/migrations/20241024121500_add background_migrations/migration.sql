CREATE TABLE background_migrations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, script TEXT NOT NULL, args JSONB NOT NULL, state JSONB NOT NULL DEFAULT '{}',
    finished_at TIMESTAMP(3), failed_at TIMESTAMP(3), failed_reason TEXT, worker_id TEXT, locked_at TIMESTAMP(3));
INSERT INTO background_migrations (id, name, script, args) VALUES
    ('a0000000-0000-4000-8000-000000000001', '20241024_1730_migrate_traces_from_pg_to_ch', 'migrateTracesFromPostgresToClickhouse', '{}');
