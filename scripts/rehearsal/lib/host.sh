# What the rehearsal and the tests need of the machine: packages and a running engine.
# Expects say().

need_packages() { # package…
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing ${missing[*]}"
    apt-get update -qq
    # Servers that come with a package must not start by themselves; nothing that is there may go for it.
    local policy=/usr/sbin/policy-rc.d own=
    [ -e $policy ] || { own=yes && printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy; }
    local status=0
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get install -y -qq --no-remove --no-install-recommends \
        "${missing[@]}" > /dev/null || status=$?
    [ -z "$own" ] || rm -f $policy
    return $status
}

# Starts Docker where none answers: by systemd where that runs, else by hand.
need_engine() {
    docker info > /dev/null 2>&1 && return
    # Whoever has an engine of another make keeps it.
    command -v dockerd > /dev/null || need_packages docker.io iptables ca-certificates
    say 'starting the Docker engine'
    if [ -d /run/systemd/system ]; then
        systemctl start docker
    else
        # A pid file that a killed engine left behind would keep a new one from starting.
        rm -f /var/run/docker.pid
        setsid dockerd > /var/log/dockerd.log 2>&1 < /dev/null &
    fi
    local tries
    for tries in $(seq 60); do
        docker info > /dev/null 2>&1 && return
        sleep 1
    done
    say "the Docker engine did not answer within $tries s; see /var/log/dockerd.log" >&2
    return 1
}
