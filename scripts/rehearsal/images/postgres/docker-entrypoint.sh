#!/bin/bash
# The official image's contract: POSTGRES_* are applied to an empty data directory and never again.
set -euo pipefail

[ "${1#-}" = "$1" ] || set -- postgres "$@"
if [ "$1" != postgres ]; then
    exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    find "$PGDATA" \! -user postgres -exec chown postgres:postgres '{}' +
    find /var/run/postgresql \! -user postgres -exec chown postgres:postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# Only the local socket answers while the directory is being prepared.
prepare() {
    local user=${POSTGRES_USER:-postgres} method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    local database=${POSTGRES_DB:-$user}

    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo >&2 'Error: Database is uninitialized and superuser password is not specified.'
        echo >&2 '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.'
        exit 1
    fi
    eval "initdb --username=\"\$user\" --pwfile=<(printf '%s\n' \"\${POSTGRES_PASSWORD:-}\") ${POSTGRES_INITDB_ARGS:-}"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"

    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$user" --no-password)
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE :"db";\n' | "${psql[@]}" --dbname postgres --set db="$database"
    fi
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
        *.sh) echo "running $script" && . "$script" ;;
        *.sql) echo "running $script" && "${psql[@]}" --dbname "$database" -f "$script" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [ -s "$PGDATA/PG_VERSION" ]; then
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
else
    prepare
fi
exec "$@"
