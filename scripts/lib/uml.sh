# shellcheck shell=bash
# A kernel of the test's own, with CIFS and NFS in it: user-mode Linux, which is an ordinary process. Sourced by
# cifs-test.sh and deps.sh; needs packages.sh.
#
# The packages for it are unpacked and not installed: no service starts, and nothing outside of one directory changes.

# What the guest runs, beside the programs of this machine.
GUEST_PACKAGES=(user-mode-linux samba samba-vfs-modules cifs-utils nfs-kernel-server kmod iproute2 e2fsprogs docker-registry)

# What fetch_guest (and deps.sh for it) returns where the packages cannot be had on this machine.
GUEST_UNAVAILABLE=64

# guest_dir: prints where the packages are unpacked.
guest_dir() {
    echo "${CARGO_TARGET_DIR:-$PWD/target}/cifs-test"
}

# guest_cannot_run: prints why there can be no guest on this machine, if that is so.
guest_cannot_run() {
    if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" != x86_64 ]; then
        echo "user-mode Linux needs Linux on x86_64; this is $(uname -s) on $(uname -m)"
    elif ! command -v apt-get >/dev/null; then
        echo "its packages come from Debian or Ubuntu, and there is no apt-get here"
    elif ! command -v cc >/dev/null; then
        echo "there is no C compiler here"
    elif [[ $PWD$(guest_dir)${TMPDIR:-} = *" "* ]]; then
        echo "a path with a space in it cannot be handed to the guest's kernel"
    else
        return 1
    fi
}

# guest_apt DIR ARGUMENT...: apt-get with a cache in DIR, for which nobody has to be root.
guest_apt() {
    local dir=$1
    shift
    apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o "Dir::Cache::archives=$dir/archives" "$@"
}

# fetch_guest DIR: unpacks into DIR/root what of the packages is not installed here. Prints the reason and returns
# GUEST_UNAVAILABLE where this machine's sources do not have them.
fetch_guest() {
    local dir=$1 archive name log=$1/apt.log
    [ ! -e "$dir/complete" ] || return 0
    rm -rf "$dir"
    mkdir -p "$dir/archives/partial" "$dir/root/usr"
    if ! guest_apt "$dir" --simulate --no-install-recommends install "${GUEST_PACKAGES[@]}" >"$log" 2>&1; then
        # The lists are often stale or absent on a fresh machine.
        as_root apt-get update -qq >>"$log" 2>&1 || true
        if ! guest_apt "$dir" --simulate --no-install-recommends install "${GUEST_PACKAGES[@]}" >"$log" 2>&1; then
            echo "this machine's package sources do not have all of ${GUEST_PACKAGES[*]} ($(tail -n 1 "$log"))"
            return "$GUEST_UNAVAILABLE"
        fi
    fi
    guest_apt "$dir" --yes --download-only --no-install-recommends install "${GUEST_PACKAGES[@]}" >"$log" 2>&1 || {
        cat "$log" >&2
        die "the packages for the guest cannot be downloaded"
    }
    for archive in "$dir"/archives/*.deb; do
        [ ! -e "$archive" ] || dpkg-deb --extract "$archive" "$dir/root" || die "cannot unpack $archive"
    done
    # Older packages have /bin and /lib of their own, which would hide the links that this machine has there.
    for name in bin sbin lib lib64; do
        if [ -d "$dir/root/$name" ] && [ ! -L "$dir/root/$name" ]; then
            mkdir -p "$dir/root/usr/$name"
            cp -a "$dir/root/$name/." "$dir/root/usr/$name/"
            rm -r "${dir:?}/root/$name"
        fi
    done
    ln -s usr/lib "$dir/root/lib"
    local modules
    modules=$(guest_file "$dir" usr/lib/uml/modules)
    mkdir -p "$dir/root/usr/lib/modules"
    for name in "$modules"/*; do
        ln -s "$name" "$dir/root/usr/lib/modules/"
    done
    cc -O2 -shared -fPIC -o "$dir/xstate.so" scripts/lib/uml-xstate.c || die "cannot compile scripts/lib/uml-xstate.c"
    rm -rf "$dir/archives"
    touch "$dir/complete"
}

# guest_file DIR PATH: prints where the file is, among what was unpacked or on this machine.
guest_file() {
    if [ -e "$1/root/$2" ]; then echo "$1/root/$2"; else echo "/$2"; fi
}

# run_guest DIR WORK SECONDS NAME=VALUE...: boots, runs scripts/guest/main.sh with these variables, and prints what it
# prints. Everything else is in WORK/console.log. Ends the guest after so many seconds. Exits with its status: 0 to 125,
# 126 where the kernel does not boot here. To be run in the background.
run_guest() {
    local dir=$1 work=$2 seconds=$3 kernel status
    shift 3
    kernel=$(guest_file "$dir" usr/bin/linux.uml)
    mkdir "$work/uml"
    truncate -s 2G "$work/disk.img"
    truncate -s 24M "$work/small.img"
    guest_pid=
    trap 'exit 143' TERM
    trap stop_guest EXIT
    # In a process group of its own, so that nothing of it is left after it was killed.
    LD_PRELOAD=$dir/xstate.so TMPDIR=$work setsid "$kernel" mem=1000M \
        root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$PWD/scripts/guest/init.sh" \
        con=null con0=null,fd:1 "ubd0=$work/disk.img" "ubd1=$work/small.img" "uml_dir=$work/uml" \
        "GUEST_ROOT=$dir/root" "GUEST_MAIN=$PWD/scripts/guest/main.sh" "GUEST_SECONDS=$seconds" "$@" \
        </dev/null >"$work/console.log" 2>&1 &
    guest_pid=$!
    # It ends with the guest, which ends itself; the time is for one that hangs.
    timeout "$((seconds + 60))" tail --pid="$guest_pid" -n +1 -f "$work/console.log" 2>/dev/null |
        sed -un 's/\r$//; s/^guest| //p' || true
    stop_guest
    grep -q '^guest| booted' "$work/console.log" || exit 126
    status=$(sed -n 's/^guest ended: \([0-9]*\).*/\1/p' "$work/console.log")
    exit "${status:-124}"
}

# stop_guest: whatever is left of it.
stop_guest() {
    [ -n "$guest_pid" ] || return 0
    kill -KILL -- "-$guest_pid" 2>/dev/null || true
    wait "$guest_pid" 2>/dev/null || true
    guest_pid=
}
