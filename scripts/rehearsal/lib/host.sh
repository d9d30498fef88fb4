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
        engine_answers 60
    else
        start_engine_by_hand || start_engine_by_hand || start_engine_by_hand
    fi
}

engine_answers() { # seconds
    local second
    for second in $(seq "$1"); do
        docker info > /dev/null 2>&1 && return
        sleep 1
    done
    say "the Docker engine did not answer within $second s; see /var/log/dockerd.log" >&2
    return 1
}

# An engine that was killed leaves pid files behind that keep a new one from starting.
start_engine_by_hand() {
    local ran=/var/run/docker/containerd/containerd.pid
    rm -f /var/run/docker.pid
    if [ -e $ran ] && ! grep -qsx 'State:[[:space:]][RSD].*' "/proc/$(cat $ran)/status"; then
        rm -f $ran
    fi
    setsid dockerd > /var/log/dockerd.log 2>&1 < /dev/null &
    local engine=$! second
    for second in $(seq 60); do
        docker info > /dev/null 2>&1 && return
        kill -0 "$engine" 2> /dev/null || break
        sleep 1
    done
    say "the Docker engine did not come up within $second s; see /var/log/dockerd.log" >&2
    return 1
}
