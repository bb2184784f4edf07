#!/usr/bin/env bash
# The janitor and a real registry on a real CIFS mount, and on NFS 4.2: boots a kernel of its own as an ordinary process
# (user-mode Linux, scripts/lib/uml.sh), with a Samba and an NFS server in it, and runs tests/cifs there. Nobody has to
# be root, and nothing is installed.
#
#   scripts/cifs-test.sh [PART OF A TEST'S NAME]...
#   CIFS_TEST_ON=cifs scripts/cifs-test.sh              # only on CIFS, or only on nfs
#   JANITOR=path/to/janitor scripts/cifs-test.sh        # another binary than the one of this tree
#   CIFS_TEST=required scripts/cifs-test.sh             # fails where it would be skipped
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/uml.sh
. scripts/lib/uml.sh

skip() {
    [ "${CIFS_TEST:-}" != required ] || die "the tests on CIFS and NFS cannot run here: $*"
    local said="SKIPPED: the tests on CIFS and NFS cannot run here: $*"
    # On GitHub, for whoever looks at the run.
    [ -z "${GITHUB_ACTIONS:-}" ] || said="::warning title=make test-cifs::$said"
    echo "$said"
    exit 0
}

work=$(mktemp -d)
guests=()
clean_up() {
    # Each ends its own guest.
    [ ${#guests[@]} -eq 0 ] || kill "${guests[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

! reason=$(guest_cannot_run) || skip "$reason"
guest=$(guest_dir)
reason=$(scripts/deps.sh cifs) || {
    [ $? -eq "$GUEST_UNAVAILABLE" ] || exit 1
    skip "$reason"
}

# strip_to FILE COPY: debug symbols take most of the time of reading a binary in the guest.
strip_to() {
    strip -o "$2" "$1" 2>/dev/null || cp "$1" "$2"
}
cargo test --quiet --locked --test cifs --no-run
tests=$(cargo test --locked --test cifs --no-run --message-format json 2>/dev/null |
    sed -n 's/.*"kind":\["test"\].*"name":"cifs".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$tests" ] || die "cargo did not build the tests"
strip_to "$tests" "$work/tests"
strip_to "${JANITOR:-$(dirname "$(dirname "$tests")")/janitor}" "$work/janitor"

# One guest for each kind of mount, since a guest has one processor.
read -ra kinds <<<"${CIFS_TEST_ON:-cifs nfs}"
filters=$(IFS=, && echo "$*")
for kind in "${kinds[@]}"; do
    mkdir "$work/$kind"
    run_guest "$guest" "$work/$kind" "${CIFS_TEST_SECS:-900}" "TEST_MOUNT_KIND=$kind" \
        "TEST_BINARY=$work/tests" "TEST_JANITOR_BIN=$work/janitor" "TEST_FILTER=$filters" > >(sed -u "s/^/$kind: /") &
    guests+=($!)
done
failed=
for number in "${!kinds[@]}"; do
    kind=${kinds[number]} status=0
    wait "${guests[number]}" || status=$?
    last=$(tail -n 3 "$work/$kind/console.log")
    case $status in
    0) ;;
    126) skip "user-mode Linux does not boot; it said last: $last" ;;
    124 | 137) failed+="; $kind: the guest did not come to its end in time; it said last: $last" ;;
    *) failed+="; $kind: see above" ;;
    esac
done
guests=()
[ -z "$failed" ] || die "the tests on a network mount failed${failed}"
