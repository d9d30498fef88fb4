//! Doubles of the clients of Redis, Postgres and ClickHouse, on files below
//! `/data`: as much of each as a backup and a restore ask for.

use lfctl::stack::Store;

const REDIS: &str = r#"#!/bin/sh
saves=$(cat /data/saves 2> /dev/null)
saves=${saves:-0}
case $1 in
BGSAVE)
    echo memory > /data/dump.rdb
    echo $((saves + 1)) > /data/saves
    ;;
INFO) printf 'rdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\nrdb_saves:%s\r\n' "$saves" ;;
DBSIZE) echo 0 ;;
esac
"#;

/// Each event is a row.
const PSQL: &str = r#"#!/bin/sh
script=$(cat)
cd /data/events
set -- *
[ -e "$1" ] || shift
printf 'public.events\t%s\n' $#
case $script in
*lfctl:dump*)
    echo lfctl:dump
    cat /data/schema
    for event; do echo $event; done
    ;;
esac
"#;

const PG_RESTORE: &str = "#!/bin/sh
read -r schema
echo $schema > /data/schema
while read -r event; do
    : > /data/events/$event
done
";

/// One table with one part.
const CLICKHOUSE: &str = r#"#!/bin/sh
table=/data/clickhouse
if [ "$1" = --multiquery ]; then
    while read -r line; do
        part=${line#*\'}
        part=${part%\'*}
        mv $table/detached/$part $table/
    done
    exit
fi
case $2 in
*'FROM system.tables WHERE database NOT IN'*) printf 'default\tevents\tMergeTree\n' ;;
*'FROM system.columns'*) echo data_path ;;
*'SELECT data_path'*) echo $table/ ;;
*FREEZE*)
    name=${2##*NAME \'}
    to=/data/shadow/${name%\'}/data/default/events
    mkdir -p $to
    cp -a $table/all_1_1_0 $to/
    ;;
'SHOW CREATE'*) echo 'CREATE TABLE events' ;;
'CREATE TABLE'*) mkdir -p $table/detached ;;
'SELECT count'*) cat $table/all_1_1_0/count.txt ;;
esac
"#;

/// Makes the table of an empty database.
pub(crate) const MAKE_TABLE: &str = "[ -d /data/clickhouse ] || {
    mkdir -p /data/clickhouse/all_1_1_0
    echo 7 > /data/clickhouse/all_1_1_0/count.txt
}";

/// The clients, as files of an image.
pub(crate) const CLIENTS: [(&str, &[u8]); 4] = [
    ("bin/redis-cli", REDIS.as_bytes()),
    ("bin/psql", PSQL.as_bytes()),
    ("bin/pg_restore", PG_RESTORE.as_bytes()),
    ("bin/clickhouse-client", CLICKHOUSE.as_bytes()),
];

/// The stores, all of one service.
pub(crate) fn stores(service: &str) -> Vec<Store> {
    let (service, directory) = (service.to_owned(), "/data".to_owned());
    let client = |name: &str| vec![format!("/bin/{name}")];
    vec![
        Store::Redis {
            service: service.clone(),
            client: client("redis-cli"),
            directory: directory.clone(),
        },
        Store::Clickhouse {
            service: service.clone(),
            client: client("clickhouse-client"),
            directory: directory.clone(),
            owner: "0:0".to_owned(),
        },
        Store::Postgres {
            service,
            client: client("psql"),
            dump: client("pg_dump"),
            restore: client("pg_restore"),
            directory,
        },
    ]
}
