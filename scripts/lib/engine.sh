# shellcheck shell=bash
# A Docker engine of the test's own, for machines that have none or can pull no image. Sourced by compose-test.sh.
#
# Debian's dockerd runs with all its files in one temporary directory, and the two images that the project builds on
# are replaced by stand-ins made of this machine's own programs: the registry of the same release, and the Rust
# toolchain. The project's Dockerfile and compose file are used as they are. Needs root, on Debian or Ubuntu.

engine_pid=
# The firewall's rule for forwarding, as it was.
forwarding=

# start_engine DIR: exports DOCKER_HOST (and DOCKER_CONFIG, where plugins had to be fetched).
start_engine() {
    local dir=$1
    [ "$(id -u)" -eq 0 ] || die "no Docker engine with images to pull here, and starting one of our own needs root"
    command -v dockerd >/dev/null || {
        install_packages docker.io
        without_service docker.service docker.socket
    }
    command -v docker >/dev/null || install_packages docker-cli
    command -v iptables >/dev/null || install_packages iptables
    mkdir -p "$dir"
    if ! iptables -S | grep -q DOCKER; then
        forwarding=$(iptables -S FORWARD | sed -n 's/^-P FORWARD //p')
    fi
    export DOCKER_HOST=unix://$dir/docker.sock
    # No default bridge: it would be shared with another engine, and compose makes its own networks.
    dockerd --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
        --bridge none --containerd-namespace registry-janitor-test \
        --containerd-plugins-namespace registry-janitor-test-plugins >"$dir/dockerd.log" 2>&1 &
    engine_pid=$!
    local _
    for _ in $(seq 300); do
        docker version >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$dir/dockerd.log" >&2
    die "dockerd does not run here"
}

# stop_engine DIR: stops what start_engine started, and takes back what it mounted.
stop_engine() {
    local dir=$1
    if [ -n "$engine_pid" ]; then
        kill "$engine_pid" 2>/dev/null || true
        wait "$engine_pid" 2>/dev/null || true
        engine_pid=
        # The engine forbids forwarding and leaves its chains behind; where no other one was, that is taken back.
        if [ -n "$forwarding" ]; then
            iptables-save | grep -v DOCKER | sed "s/^:FORWARD [A-Z]*/:FORWARD $forwarding/" | iptables-restore || true
        fi
    fi
    awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
        umount "$mount" || true
    done
}

# fetch_package DIR NAME...: unpacks the first of these packages that can be had into DIR/root; installs nothing.
# Debian 12 has no Compose v2: there the packages of the next release are taken, from the machine's own sources with
# the release's name changed, and with lists and cache of our own.
fetch_package() {
    local dir=$1 name
    shift
    if [ ! -d "$dir/apt" ]; then
        mkdir -p "$dir/apt/sources" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/root"
        local file
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
            [ -f "$file" ] || continue
            sed 's/\bbookworm\b/trixie/g' "$file" >"$dir/apt/sources/$(basename "$file")"
        done
        printf '%s\n' 'Dir::Etc::sourcelist "/dev/null";' "Dir::Etc::sourceparts \"$dir/apt/sources\";" \
            "Dir::State::lists \"$dir/apt/lists\";" "Dir::Cache \"$dir/apt/cache\";" \
            'APT::Sandbox::User "root";' >"$dir/apt/apt.conf"
        # A source that does not know the release is no harm as long as one does.
        APT_CONFIG=$dir/apt/apt.conf apt-get update -qq >"$dir/apt/update.log" 2>&1 || true
    fi
    for name in "$@"; do
        if (cd "$dir/apt" && APT_CONFIG=$dir/apt/apt.conf apt-get download -qq "$name") >"$dir/apt/download.log" 2>&1; then
            dpkg -x "$dir/apt/${name}"_*.deb "$dir/root"
            return
        fi
    done
    cat "$dir/apt/update.log" "$dir/apt/download.log" >&2
    die "cannot be had from this machine's package sources: $*"
}

# compose_is_new_enough: 2.24 is the first with optional env files.
compose_is_new_enough() {
    local version
    version=$(docker compose version --short 2>/dev/null) || return 1
    [ "$(printf '%s\n' 2.24.0 "${version#v}" | sort -V | head -n 1)" = 2.24.0 ]
}

# provide_compose DIR: a Compose (and buildx) that can run the stack.
provide_compose() {
    local dir=$1
    if compose_is_new_enough && docker buildx version >/dev/null 2>&1; then
        return
    fi
    fetch_package "$dir" docker-compose-v2 docker-compose
    fetch_package "$dir" docker-buildx
    mkdir -p "$dir/config/cli-plugins"
    find "$dir/root" -path '*/cli-plugins/docker-*' -type f -exec cp {} "$dir/config/cli-plugins/" \;
    export DOCKER_CONFIG=$dir/config
    compose_is_new_enough || die "Docker Compose 2.24 or newer is needed, and could not be had here"
}

# add_program ROOT PROGRAM PATH: copies a program into a root file system, with the libraries it is linked with.
add_program() {
    local root=$1 program=$2 path=$3 library
    install -D "$program" "$root$path"
    ldd "$program" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        install -D "$library" "$root$library"
    done
}

# make_registry_standin DIR IMAGE: as the official image is laid out: entrypoint, configuration, volume and port, a
# shell and the few tools a healthcheck needs.
make_registry_standin() {
    local dir=$1 image=$2 root=$1/registry-root applet
    fetch_package "$dir" docker-registry
    fetch_package "$dir" busybox-static
    add_program "$root" "$dir/root/usr/bin/docker-registry" /bin/registry
    # /bin is a link to usr/bin in newer packages.
    install -D "$(find "$dir/root" -path '*bin/busybox' -type f | head -n 1)" "$root/bin/busybox"
    for applet in $("$root/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    install -D -m 644 "$dir/root/etc/docker/registry/config.yml" "$root/etc/docker/registry/config.yml"
    install -d -m 1777 "$root/tmp"
    cat >"$root/entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
case "$1" in
*.yaml | *.yml) set -- registry serve "$@" ;;
serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
ENTRYPOINT
    chmod 755 "$root/entrypoint.sh"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENTRYPOINT ["/entrypoint.sh"]' --change 'CMD ["/etc/docker/registry/config.yml"]' \
        --change 'VOLUME /var/lib/registry' --change 'EXPOSE 5000' - "$image" >/dev/null
    rm -r "$root"
}

# make_rust_standin DIR IMAGE: this machine's toolchain, C linker and libc headers, the shell tools of the Dockerfile,
# and the crates of Cargo.lock, fetched through the machine's cargo settings and used instead of crates.io. Run in
# the project's directory.
make_rust_standin() {
    local dir=$1 image=$2 root=$1/rust-root sysroot
    local needs=(gcc libc6-dev dash coreutils findutils sed grep)
    dpkg -s "${needs[@]}" >/dev/null 2>&1 || install_packages "${needs[@]}"
    mkdir -p "$root/usr/local/cargo" "$root/usr/local/bin" "$root/usr/local/lib"
    install -d -m 1777 "$root/tmp"

    # The files of those packages and of all they depend on; the top-level directories are links into /usr.
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "${needs[@]}" | grep '^[a-z0-9]' | sort -u | xargs dpkg -L 2>/dev/null |
        grep -v '^/usr/share/\(doc\|man\|info\|locale\|lintian\)' |
        sed -n -e 's#^/\(bin\|sbin\|lib[0-9x]*\)\(/\|$\)#/usr/\1\2#' -e 's#^/\(.\+\)#\1#p' | sort -u >"$dir/rust-files"
    [ -L /bin ] || die "a system with a separate /bin is too old for this test"
    local extra=(bin sbin lib usr/bin/cc etc/alternatives/cc)
    [ ! -L /lib64 ] || extra+=(lib64)
    tar -C / --no-recursion --ignore-failed-read -cf - -T "$dir/rust-files" "${extra[@]}" 2>"$dir/rust-files.log" |
        tar -C "$root" -xf -

    sysroot=$(rustc --print sysroot)
    cp "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$root/usr/local/bin/"
    tar -C "$sysroot/lib" --exclude=./rustlib/src -cf - . | tar -C "$root/usr/local/lib" -xf -
    cargo vendor --quiet --locked --versioned-dirs "$root/vendor" >/dev/null
    printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "/vendor"\n[net]\noffline = true\n' \
        >"$root/usr/local/cargo/config.toml"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' - "$image" >/dev/null
    rm -r "$root"
}
