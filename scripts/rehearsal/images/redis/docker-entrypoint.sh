#!/bin/sh
# The official image's contract: started as root it owns /data and steps down to `redis`.
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi
if [ "$1" = redis-server ]; then
    # Debian's server protects itself when no configuration is given; the official image does not.
    [ $# -gt 1 ] || set -- redis-server --protected-mode no
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis:redis '{}' +
        exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
    fi
    umask 0077
fi
exec "$@"
