# Installs a Debian package, or one whose command is missing.

need() { # command package
    command -v "$1" > /dev/null || need_package "$2"
}

need_package() { # package
    say "installing $1"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" > /dev/null
}
