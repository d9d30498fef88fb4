-- They sleep until a worker whose default opens the gate.
INSERT INTO background_migrations (id, name, script, args) VALUES
    ('a0000000-0000-4000-8000-000000000002', '20260701_v4_step_1_create_root_spans_from_traces', 'v4CreateRootSpansFromTraces',
     '{"envGate": "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL"}'),
    ('a0000000-0000-4000-8000-000000000003', '20260701_v4_step_3_backfill_events_full_from_observations', 'v4BackfillEventsFullFromObservations',
     '{"envGate": "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL"}'),
    ('a0000000-0000-4000-8000-00000000000a', '20260701_v4_step_2_rewrite_observations_to_pid_tid_sorting', 'nothingToCopy',
     '{"envGate": "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL"}'),
    ('a0000000-0000-4000-8000-00000000000b', '20260701_v4_step_4_backfill_events_full_from_dataset_run_items', 'nothingToCopy',
     '{"envGate": "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL"}'),
    ('a0000000-0000-4000-8000-000000000004', '20260701_v4_step_5_drop_pid_tid_sorting_tables', 'v4DropPidTidSortingTables',
     '{"envGate": "LANGFUSE_BACKGROUND_MIGRATION_V4_DROP_PID_TID_SORTING_TABLES"}');
