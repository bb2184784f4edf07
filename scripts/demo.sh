#!/usr/bin/env bash
# Shows a sweep on a real registry, from nothing and without Docker: starts the stock registry on loopback with a
# temporary store, pushes images of its own making, audits, sweeps, pulls what was kept, and cleans up.
#
#   scripts/demo.sh                       # builds the janitor with cargo
#   JANITOR=path/to/janitor scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/images.sh
. scripts/lib/images.sh
# shellcheck source=scripts/lib/registry.sh
. scripts/lib/registry.sh

[ "$(uname -s)" = Linux ] || die "the demo needs Linux (the stock registry's package); elsewhere, use Docker: make up"

step() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}
# Bold only where someone looks at it.
[ -t 1 ] || step() { printf '\n%s\n' "$*"; }

scripts/deps.sh registry skopeo
registry=$(registry_binary)
if [ -z "${JANITOR:-}" ]; then
    command -v cargo >/dev/null || die "there is no cargo here: install Rust, or give a released binary as JANITOR=path"
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
    echo "building the janitor (a minute, the first time)"
    cargo build --quiet --locked --bin janitor
    JANITOR=$CARGO_TARGET_DIR/debug/janitor
fi
[ -x "$JANITOR" ] || die "not a program: $JANITOR"

work=$(mktemp -d)
clean_up() {
    stop_registry
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

layouts=$work/layouts
mkdir "$layouts"
export TMPDIR=$work
# Settings of the surrounding shell are none of the demo's.
clean_environment "$work"
start_registry "$registry" "$work"

janitor() {
    "${clean_env[@]}" JANITOR_DATA_DIR="$store" JANITOR_REGISTRY_CONFIG="$config" JANITOR_REGISTRY_BIN="$registry" \
        RUN_ONCE=true KEEP_LAST_N=2 GC_GRACE=0s GC_SETTLE=1s GC_QUIET=0s "$@" "$JANITOR"
}

repositories=(shop/web shop/web/assets tools/builder ci/nightly)
show() {
    local repository tags
    for repository in "${repositories[@]}"; do
        # A signature's tag is its image's digest: shortened, or it would fill the line.
        tags=$(list_tags "$address/$repository" | sed 's/^\(sha256-.\{6\}\)[^.]*/\1…/' | sort -V | tr '\n' ' ') || true
        printf '  %-16s %s\n' "$repository" "${tags:-(none)}"
    done
    printf '  on disk: %s in %d blobs\n' "$(du --summarize --apparent-size --human-readable "$store" | cut -f1)" \
        "$(find "$store/docker/registry/v2/blobs" -name data | wc -l)"
}

step "1. The stock registry ($("$registry" --version | grep -o '[0-9][0-9.]*[0-9]' | head -n 1)) runs on $address; a dozen images are pushed to it"
base=$(random_layer "$layouts" 1024)
for n in 1 2 3 4 5; do
    make_image "$layouts/web$n" amd64 "$base" "$(random_layer "$layouts" 512)"
    push_layout "$layouts/web$n" "$address/shop/web:v$n"
done
for n in 2 5; do
    digest=$(layout_digest "$layouts/web$n")
    make_signature "$layouts/signature$n" "$digest"
    push_layout "$layouts/signature$n" "$address/shop/web:${digest/:/-}.sig"
done
echo "  shop/web         five versions on one base layer; v2 and v5 are signed (cosign's companion tags)"
for n in 1 2 3; do
    make_image "$layouts/assets$n" amd64 "$(random_layer "$layouts" 256)"
    push_layout "$layouts/assets$n" "$address/shop/web/assets:1.$n"
done
echo "  shop/web/assets  a repository inside a repository"
for n in 1 2 3; do
    make_multiarch_image "$layouts/builder$n" "$(random_layer "$layouts" 384)"
    push_layout "$layouts/builder$n" "$address/tools/builder:2026.$n"
done
echo "  tools/builder    three versions, each for amd64 and arm64"
for n in 1 2 3; do
    make_image "$layouts/nightly$n" amd64 "$base" "$(random_layer "$layouts" 768)"
    push_layout "$layouts/nightly$n" "$address/ci/nightly:latest"
done
echo "  ci/nightly       one tag, pushed three times: two manifests are left behind"

step "2. What the registry has"
show

step "3. Audit: what would a sweep with KEEP_LAST_N=2 remove? (DRY_RUN=true, changes nothing)"
janitor DRY_RUN=true LOG_LEVEL=warn

step "4. The sweep, as its log tells it"
janitor DRY_RUN=false JANITOR_OUTPUT=none 2>&1

step "5. What the registry has now"
show

step "6. What was kept is pulled whole, what was removed is gone"
# pull_kept REPOSITORY:TAG REMARK [SHOWN_AS]
pull_kept() {
    pull "$address/$1" "$work/pulled"
    rm -r "$work/pulled"
    printf '  pulled   %-27s %s\n' "${3:-$1}" "$2"
}
pull_kept shop/web:v5 "every layer"
signature=$(layout_digest "$layouts/web5")
signature=${signature/:/-}
pull_kept "shop/web:$signature.sig" "its signature" "shop/web:${signature:0:13}….sig"
pull_kept shop/web/assets:1.3 "the nested repository"
pull_kept tools/builder:2026.3 "amd64 and arm64"
pull_kept ci/nightly:latest "the newest of the three"
if said=$(pull "$address/shop/web:v1" "$work/pruned" 2>&1); then
    die "shop/web:v1 was removed, and yet it can be pulled"
fi
printf '  refused  %-27s %s\n' shop/web:v1 "$(grep -o 'manifest unknown' <<<"$said" | head -n 1)"

step "Done. The registry is stopped, its store removed. For your own: README.md, or make up"
