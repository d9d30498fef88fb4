#!/bin/sh
# The order of the real one: assemble URLs, Postgres migrations, ClickHouse migrations, then the command.

if [ -z "$DATABASE_URL" ]; then
    if [ -n "$DATABASE_HOST" ] && [ -n "$DATABASE_USERNAME" ] && [ -n "$DATABASE_PASSWORD" ] && [ -n "$DATABASE_NAME" ]; then
        # Joined without any encoding, as in the real one.
        DATABASE_URL="postgresql://${DATABASE_USERNAME}:${DATABASE_PASSWORD}@${DATABASE_HOST}/${DATABASE_NAME}"
        [ -z "$DATABASE_ARGS" ] || DATABASE_URL="$DATABASE_URL?$DATABASE_ARGS"
        export DATABASE_URL
    else
        echo "Error: Required database environment variables are not set. Provide a postgres url for DATABASE_URL."
        exit 1
    fi
fi
if [ -z "$CLICKHOUSE_URL" ]; then
    echo "Error: CLICKHOUSE_URL is not configured. Provide a ClickHouse url for CLICKHOUSE_URL."
    exit 1
fi
if [ -z "$DIRECT_URL" ]; then
    export DIRECT_URL="$DATABASE_URL"
fi

if [ "$LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED" != "true" ]; then
    prisma db execute --url "$DIRECT_URL" --file "./packages/shared/scripts/cleanup.sql"
    prisma migrate deploy --schema=./packages/shared/prisma/schema.prisma
    status=$?
    if [ $status -ne 0 ]; then
        echo "Applying database migrations failed. Common causes:"
        echo "HINT: the database is not reachable, or its credentials are wrong or not percent-encoded."
        echo "HINT: an earlier migration failed; look at the table _prisma_migrations."
        echo "Exiting..."
        exit $status
    fi
fi

if [ "$LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED" != "true" ]; then
    (cd ./packages/shared && sh ./clickhouse/scripts/up.sh)
    status=$?
    if [ $status -ne 0 ]; then
        echo "Applying clickhouse migrations failed. Common causes:"
        echo "HINT: the database is not reachable on its native port, or its credentials are wrong."
        echo "HINT: CLICKHOUSE_CLUSTER_ENABLED must be false on a single node."
        echo "Exiting..."
        exit $status
    fi
fi

exec "$@"
