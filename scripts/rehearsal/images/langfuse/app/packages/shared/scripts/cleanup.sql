-- Two historic names that an old release left behind.
DELETE FROM _prisma_migrations WHERE migration_name IN ('20240101000000_renamed_once', '20240102000000_renamed_twice');
