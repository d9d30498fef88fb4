# How an image of the rehearsal stack is made. Expects $here, $cache, $mirror and say().

s3s_fs_version=0.14.1

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
inputs_for() { # folder target release
    local parent
    parent=$(parent_of "$1")
    {
        case $parent in
        debian:*) debian_inputs ;;
        *) inputs_for "${parent%:*}" - - ;;
        esac
        hash_of "$here/images/$1"
        echo "$2 $3"
        [ "$1" != minio ] || echo "s3s-fs $s3s_fs_version"
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

ensure() { # reference folder target release
    local reference=$1 inputs started=$SECONDS
    inputs=$(inputs_for "$2" "$3" "$4")
    if kept "$reference" "$inputs"; then
        say "$reference is up to date"
        return
    fi
    ensure_built "$@"
    keep "$reference" "$inputs"
    say "built $reference in $((SECONDS - started)) s"
}

ensure_built() { # reference folder target release
    local parent inputs
    parent=$(parent_of "$2")
    case $parent in
    debian:*) ensure_debian ;;
    *) ensure_built "$parent" "${parent%:*}" - - ;;
    esac
    inputs=$(inputs_for "$2" "$3" "$4")
    [ "$(inputs_of "$1")" = "$inputs" ] || build "$@" "$inputs"
}

build() { # reference folder target release inputs
    local reference=$1 context=$2 target=$3 release=$4 inputs=$5
    local log="$cache/${reference/:/-}.log" staged options=(--network host --label "rehearsal.inputs=$inputs")
    [ "$target" = - ] || options+=(--target "$target")
    [ "$release" = - ] || options+=(--build-arg "RELEASE=$release")
    say "building $reference"
    staged=$(mktemp -d "$cache/context.XXXXXX")
    cp -a "$here/images/$context/." "$staged"
    [ "$context" != minio ] || { ensure_s3s_fs && cp "$cache/s3s-fs-$s3s_fs_version/bin/s3s-fs" "$staged/"; }
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

ensure_s3s_fs() {
    local root=$cache/s3s-fs-$s3s_fs_version
    [ -x "$root/bin/s3s-fs" ] && return
    say "compiling s3s-fs $s3s_fs_version, once"
    cargo install --quiet --locked --root "$root" --target-dir "$cache/s3s-build" \
        --version "$s3s_fs_version" --features binary s3s-fs > "$cache/s3s-fs.log" 2>&1 \
        || { tail -n 30 "$cache/s3s-fs.log" >&2 && exit 1; }
    rm -rf "$cache/s3s-build"
}
