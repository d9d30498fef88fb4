CREATE TABLE background_migrations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, script TEXT NOT NULL, args JSONB NOT NULL, state JSONB NOT NULL DEFAULT '{}',
    finished_at TIMESTAMP(3), failed_at TIMESTAMP(3), failed_reason TEXT, worker_id TEXT, locked_at TIMESTAMP(3));
INSERT INTO background_migrations (id, name, script, args) VALUES
    ('a0000000-0000-4000-8000-000000000001', '20241024_1730_migrate_traces_from_pg_to_ch', 'migrateTracesFromPostgresToClickhouse', '{}'),
    ('a0000000-0000-4000-8000-000000000005', '20241024_1216_add_generations_cost_backfill', 'nothingToCopy', '{}'),
    ('a0000000-0000-4000-8000-000000000006', '20241024_1737_migrate_observations_from_pg_to_ch', 'nothingToCopy', '{}'),
    ('a0000000-0000-4000-8000-000000000007', '20241024_1738_migrate_scores_from_pg_to_ch', 'nothingToCopy', '{}'),
    ('a0000000-0000-4000-8000-000000000008', '20250417_1737_migrate_event_log_to_blob_storage', 'nothingToCopy', '{}'),
    ('a0000000-0000-4000-8000-000000000009', '20250814_1001_migrate_dataset_run_items_rmt_pg_to_ch', 'nothingToCopy', '{}');
