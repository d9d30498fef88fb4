# Installs a Debian package when its command is missing.

need() { # command package
    command -v "$1" > /dev/null && return
    say "installing $2"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" > /dev/null
}
