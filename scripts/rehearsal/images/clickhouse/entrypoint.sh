#!/bin/bash
# The official image's contract: CLICKHOUSE_USER and _PASSWORD become a users.d file at each start,
# CLICKHOUSE_DB is created on an empty data directory.
set -eo pipefail
shopt -s nullglob

config=${CLICKHOUSE_CONFIG:-/etc/clickhouse-server/config.xml}
data=/var/lib/clickhouse
as_user=()
if [ "$(id -u)" = 0 ]; then
    as_user=(setpriv --reuid=clickhouse --regid=clickhouse --init-groups)
    for dir in "$data" /var/log/clickhouse-server; do
        mkdir -p "$dir"
        find "$dir" \! -user clickhouse -exec chown clickhouse:clickhouse '{}' +
    done
    # Files that were copied in for root only would end the server; a read-only mount stays as it is.
    chown -R clickhouse:clickhouse /etc/clickhouse-server/config.d /etc/clickhouse-server/users.d 2> /dev/null || true
fi

user=${CLICKHOUSE_USER:-default}
password=${CLICKHOUSE_PASSWORD:-}
escape() { sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' <<< "$1"; }

write_user() {
    echo "$0: create new user '$user' instead 'default'"
    (umask 077 && cat > "$1") << EOT
<clickhouse>
  <users>
    <default remove="remove"/>
    <$user>
      <profile>default</profile>
      <networks incl="networks" replace="replace"><ip>::/0</ip></networks>
      <password>$(escape "$password")</password>
      <quota>default</quota>
    </$user>
  </users>
</clickhouse>
EOT
    [ "$(id -u)" != 0 ] || chown clickhouse:clickhouse "$1"
}
if [ "$user" != default ] || [ -n "$password" ]; then
    rm -f /etc/clickhouse-server/users.d/default-user.xml
    write_user /etc/clickhouse-server/users.d/default-user.xml
fi

# A server on loopback only, so that nobody meets the store before its database exists.
prepare() {
    local port pid tries=${CLICKHOUSE_INIT_TIMEOUT:-1000} secret
    port=$(clickhouse extract-from-config --config-file "$config" --key http_port 2> /dev/null || echo 8123)
    "${as_user[@]}" clickhouse-server --config-file="$config" -- --listen_host=127.0.0.1 &
    pid=$!
    until wget --spider -T 1 -q "http://127.0.0.1:$port/ping" 2> /dev/null; do
        if ! kill -0 "$pid" 2> /dev/null || [ "$((tries--))" -le 0 ]; then
            echo >&2 'ClickHouse init process failed.'
            exit 1
        fi
        sleep 0.2
    done

    # The password travels in a file, never in an argument.
    secret=$(mktemp)
    printf '<config><host>127.0.0.1</host><user>%s</user><password>%s</password></config>\n' \
        "$user" "$(escape "$password")" > "$secret"
    local client=(clickhouse-client --config-file "$secret" --multiquery)
    if [ -n "$CLICKHOUSE_DB" ]; then
        echo "$0: create database '$CLICKHOUSE_DB'"
        "${client[@]}" --query "CREATE DATABASE IF NOT EXISTS $CLICKHOUSE_DB"
    fi
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
        *.sh) echo "$0: running $script" && . "$script" ;;
        *.sql) echo "$0: running $script" && "${client[@]}" < "$script" ;;
        esac
    done
    rm -f "$secret"
    kill -TERM "$pid"
    wait "$pid" || { echo >&2 'Finishing of ClickHouse init process failed.' && exit 1; }
}

if [ $# -gt 0 ] && [[ $1 != --* ]]; then
    exec "$@"
fi
init_scripts=(/docker-entrypoint-initdb.d/*)
if [ -d "$data/data" ]; then
    echo 'ClickHouse Database directory appears to contain a database; Skipping initialization'
elif [ -n "$CLICKHOUSE_DB" ] || [ ${#init_scripts[@]} -gt 0 ]; then
    prepare
fi
exec "${as_user[@]}" clickhouse-server --config-file="$config" "$@"
