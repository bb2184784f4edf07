# shellcheck shell=bash
# Debian and Ubuntu packages, installed only where something is missing. Sourced by the scripts.

die() {
    echo "error: $*" >&2
    exit 1
}

# as_root COMMAND...: runs it as root, by sudo where needed.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo here: $*"
    fi
}

# install_packages PACKAGE...: by apt-get, from the machine's own sources.
install_packages() {
    command -v apt-get >/dev/null || die "missing here, and there is no apt-get to install it: $*"
    echo "installing $*" >&2
    local log
    log=$(mktemp)
    # The lists are often stale or absent on a fresh machine.
    if ! { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@"; } \
        >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $*"
    fi
    rm -f "$log"
}

# without_service UNIT...: of a package just installed only the program is wanted, not the service it starts.
without_service() {
    [ ! -d /run/systemd/system ] || as_root systemctl --quiet disable --now "$@" || true
}

# registry_binary: prints the stock registry's binary, if there is one (Debian calls it docker-registry).
registry_binary() {
    command -v docker-registry || command -v registry
}
