#!/bin/sh
# The official image's contract: started as root it owns /data and steps down to `seaweed`; `server` keeps its
# data in /data.
set -e

if [ "$(id -u)" = 0 ]; then
    [ "$(stat -c %u /data)" = 1000 ] || chown -R seaweed:seaweed /data
    exec setpriv --reuid=seaweed --regid=seaweed --clear-groups "$0" "$@"
fi
if [ "${1:-}" = server ]; then
    shift
    set -- server -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 "$@"
fi
exec /usr/bin/weed -logtostderr=true "$@"
