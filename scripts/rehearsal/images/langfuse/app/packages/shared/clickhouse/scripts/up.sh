#!/bin/sh
# Runs `migrate up` over the native protocol. The cluster flag defaults to true, as in the real one.
for name in CLICKHOUSE_MIGRATION_URL CLICKHOUSE_USER CLICKHOUSE_PASSWORD; do
    eval "value=\$$name"
    if [ -z "$value" ]; then
        echo "Error: $name is not configured."
        echo "Please set $name in your environment variables."
        exit 1
    fi
done

# The password is pasted in raw: & = # ? % + @ and spaces break it.
options="username=${CLICKHOUSE_USER}&password=${CLICKHOUSE_PASSWORD}&database=${CLICKHOUSE_DB:-default}&x-multi-statement=true"
if [ "$CLICKHOUSE_MIGRATION_SSL" = "true" ]; then
    options="$options&secure=true&skip_verify=true"
fi
if [ "${CLICKHOUSE_CLUSTER_ENABLED:-true}" = "false" ]; then
    migrate -source file://clickhouse/migrations/unclustered \
        -database "${CLICKHOUSE_MIGRATION_URL}?$options&x-migrations-table-engine=MergeTree" up
else
    migrate -source file://clickhouse/migrations/clustered \
        -database "${CLICKHOUSE_MIGRATION_URL}?$options&x-cluster-name=${CLICKHOUSE_CLUSTER_NAME:-default}&x-migrations-table-engine=ReplicatedMergeTree" up
fi
