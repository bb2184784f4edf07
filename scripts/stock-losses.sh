#!/usr/bin/env bash
# Shows two ways in which the registry's own collector deletes images that are in use, on a real registry with a
# temporary store, without the janitor. Ends with 0 when both were reproduced.
#
# Both are races. Here the collector is stopped in the middle, at the one file operation that matters, until
# somebody else has made theirs: then the race has the same outcome each time. On a store of a few gigabytes it
# takes minutes from its first file to its last, and nobody needs to stop it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/images.sh
. scripts/lib/images.sh
# shellcheck source=scripts/lib/registry.sh
. scripts/lib/registry.sh

[ "$(uname -s)" = Linux ] || die "this needs Linux (the stock registry's package, strace)"
scripts/deps.sh registry skopeo strace >&2
registry=$(registry_binary)

work=$(mktemp -d)
tracer_pid=
clean_up() {
    if [ -n "$tracer_pid" ]; then
        # The tracer would leave it behind, stopped.
        kill -KILL "$(collector_pid)" "$tracer_pid" 2>/dev/null || true
    fi
    stop_registry
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export TMPDIR=$work
layouts=$work/layouts
mkdir "$layouts"
clean_environment "$work"
start_registry "$registry" "$work"
v2=$store/docker/registry/v2

# images COUNT NAME: makes layouts NAME1, NAME2 … in the order in which the collector comes to their manifests.
images() {
    local count=$1 name=$2 n=0 hex
    for n in $(seq "$count"); do
        make_image "$layouts/new" amd64 "$(random_layer "$layouts" 16)"
        hex=$(layout_digest "$layouts/new")
        mv "$layouts/new" "$layouts/${hex#sha256:}"
    done
    n=0
    for layout in "$layouts"/????????????????????????????????????????????????????????????????; do
        n=$((n + 1))
        mv "$layout" "$layouts/$name$n"
    done
}

# push LAYOUT REFERENCE [REMARK]
push() {
    push_layout "$layouts/$1" "$address/$2"
    echo "  pushed $2${3:+ $3}: acknowledged"
}

# collect_until PATH CALLS: starts the collector and waits until it has made one of these system calls on the path.
collect_until() {
    rm -f "$work/trace" "$work/collector.pid"
    # shellcheck disable=SC2016 # the inner shell's own id, which the collector takes over
    "${clean_env[@]}" strace -f -qq -o "$work/trace" -P "$1" -e trace="$2" -e inject="$2:signal=SIGSTOP:when=1" \
        sh -c 'echo $$ >"$0"; exec "$@"' "$work/collector.pid" "$registry" garbage-collect "$config" \
        >"$work/collector.log" 2>&1 &
    tracer_pid=$!
    for _ in $(seq 600); do
        ! grep -qs 'stopped by SIGSTOP' "$work/trace" || return 0
        kill -0 "$tracer_pid" 2>/dev/null || die "the collector ended too early: $(tail -n 3 "$work/collector.log")"
        sleep 0.1
    done
    die "the collector did not come to $1"
}

collector_pid() {
    cat "$work/collector.pid"
}

# collect_on: lets it go on to its end, and tells what it says of itself.
collect_on() {
    local status=0
    kill -CONT "$(collector_pid)"
    wait "$tracer_pid" || status=$?
    tracer_pid=
    echo "  collector: $(grep 'eligible for deletion$' "$work/collector.log"); exit code $status"
}

# pulls REFERENCE: says whether it pulls whole.
pulls() {
    local said
    if said=$(pull "$address/$1" "$work/pulled" 2>&1); then
        echo "  $1 pulls"
    else
        echo "  $1 DOES NOT PULL: $(grep -o 'manifest unknown\|blob unknown to registry' <<<"$said" | head -n 1)"
        lost=$((lost + 1))
    fi
    rm -rf "$work/pulled"
}

reproduced=0
# verdict EXPECTED: so many images are lost where the fault is there.
verdict() {
    echo "  => images lost that were acknowledged and are tagged: $lost"
    if [ "$lost" -eq "$1" ]; then
        reproduced=$((reproduced + 1))
    else
        echo "  => NOT REPRODUCED: it should have been $1"
    fi
    lost=0
}
lost=0

echo "1. An image is pushed while the collector runs"
images 2 push
push push1 team/app:v1
echo "  registry garbage-collect: has read the manifests, is about to list the blobs"
collect_until "$v2/blobs" openat
push push2 team/app:v2
collect_on
pulls team/app:v1
pulls team/app:v2
verdict 1

echo "2. A manifest is deleted over the API while the collector runs"
images 5 api
# Its digest sorts before the others', so the collector comes to it first.
push api1 shop/web:latest
push api5 shop/web:latest "again, another image"
for n in 2 3 4; do
    push "api$n" "shop/web:v$n"
done
outdated=$(layout_digest "$layouts/api1")
echo "  registry garbage-collect: is about to read the manifest that latest had before"
collect_until "$v2/repositories/shop/web/_manifests/revisions/sha256/${outdated#sha256:}/link" '/fstatat'
skopeo delete --tls-verify=false "docker://$address/shop/web@$outdated"
echo "  deleted over the API: that one manifest, which no tag has any more"
collect_on
for tag in latest v2 v3 v4; do
    pulls "shop/web:$tag"
done
verdict 4

[ "$reproduced" -eq 2 ]
