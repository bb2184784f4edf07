#!/usr/bin/env bash
# Installs what is named and missing: registry, skopeo, strace, fuse, nextest, fuzz, cifs.
# On other systems than Debian and Ubuntu it says what to install by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/uml.sh
. scripts/lib/uml.sh

NEXTEST_VERSION=0.9.143
FUZZ_VERSION=0.13.2

for wanted in "$@"; do
    case $wanted in
    registry)
        registry_binary >/dev/null || {
            install_packages docker-registry
            without_service docker-registry
        }
        ;;
    skopeo | strace)
        command -v "$wanted" >/dev/null || install_packages "$wanted"
        ;;
    fuse)
        # Root mounts by itself.
        [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null || install_packages fuse3
        ;;
    nextest)
        # An optimised build with everything in it takes twice as long, for a few seconds of tests.
        cargo nextest --version >/dev/null 2>&1 ||
            CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug "cargo-nextest@$NEXTEST_VERSION"
        ;;
    fuzz)
        cargo fuzz --version >/dev/null 2>&1 || cargo install --locked "cargo-fuzz@$FUZZ_VERSION"
        ;;
    cifs)
        # Unpacked below target/ and not installed: nobody wants a Samba server on their machine for this.
        fetch_guest "$(guest_dir)" || exit "$GUEST_UNAVAILABLE"
        ;;
    *)
        die "unknown dependency: $wanted"
        ;;
    esac
done
