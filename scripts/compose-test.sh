#!/usr/bin/env bash
# The compose stack, for real: built, started, pushed to, swept by `make gc`, looked at, taken down.
#
# On the running Docker engine with the real images where they can be had; elsewhere on an engine of its own with
# stand-ins for the two base images (scripts/lib/engine.sh). Works on a copy of the project under a project name of
# its own, so that neither a running stack nor a .env file is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/images.sh
. scripts/lib/images.sh
# shellcheck source=scripts/lib/engine.sh
. scripts/lib/engine.sh

# Settings of the surrounding shell would reach the containers.
for name in $(compgen -e); do
    case $name in
    KEEP_* | JANITOR_* | GC_* | RUN_* | LOG_* | REGISTRY_* | DRY_RUN | STORE | COMPOSE_* | MAKE*) unset "$name" ;;
    esac
done

work=$(mktemp -d)
export TMPDIR=$work
project=$work/project
name=registry-janitor-test-$$
compose=(docker compose --project-name "$name" --file docker-compose.yml --file test.yml)
up=

clean_up() {
    local status=$?
    trap - EXIT
    # Logs are what a failure is understood by.
    if [ -n "$up" ]; then
        if [ "$status" -ne 0 ]; then
            (cd "$project" && "${compose[@]}" ps --all && "${compose[@]}" logs --no-color --tail 30 janitor) >&2 || true
        fi
        (cd "$project" && "${compose[@]}" down --volumes --rmi local --timeout 5) >/dev/null 2>&1 || true
        docker image rm "$name" >/dev/null 2>&1 || true
    fi
    stop_engine "$work/engine"
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

checks=0
# check WHAT COMMAND...: silent unless it fails.
check() {
    local what=$1
    shift
    if "$@" >"$work/check.log" 2>&1; then
        checks=$((checks + 1))
        echo "  ok  $what"
    else
        echo "  FAILED  $what" >&2
        cat "$work/check.log" >&2
        exit 1
    fi
}
# is ACTUAL EXPECTED
is() {
    [ "$1" = "$2" ] || {
        printf 'expected: %s\nbut it is: %s\n' "$2" "$1"
        return 1
    }
}
# fails STATUS TEXT COMMAND...: the command ends with this status (`any`: not with 0) and says this.
fails() {
    local expected=$1 text=$2 status=0
    shift 2
    "$@" >"$work/fails.log" 2>&1 || status=$?
    cat "$work/fails.log"
    [ "$status" = "$expected" ] || { [ "$expected" = any ] && [ "$status" -ne 0 ]; } || {
        echo "expected exit status $expected, but it is $status"
        return 1
    }
    grep -q -- "$text" "$work/fails.log" || {
        echo "expected it to say: $text"
        return 1
    }
}

scripts/deps.sh skopeo

rust_image=$(sed -n 's/^ARG RUST_IMAGE=//p' Dockerfile)
registry_image=$(sed -n 's/^ARG REGISTRY_IMAGE=//p' Dockerfile)
build_network=default
if docker info >/dev/null 2>&1 &&
    { docker image inspect "$registry_image" || timeout 120 docker pull --quiet "$registry_image"; } >/dev/null 2>&1; then
    compose_is_new_enough || die "Docker Compose 2.24 or newer is needed, here is $(docker compose version --short 2>&1 || echo none)"
    echo "compose test: on the running Docker engine, with the real images"
else
    echo "compose test: no engine that can pull $registry_image here; on an engine of its own, with stand-ins"
    start_engine "$work/engine"
    provide_compose "$work/engine"
    make_registry_standin "$work/engine" "$registry_image"
    make_rust_standin "$work/engine" "$rust_image"
    build_network=none
fi
echo "compose test: engine $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"

mkdir "$project"
tar --exclude=./target --exclude=./.git --exclude=./.env --exclude=./docker-compose.override.yml -cf - . | tar -C "$project" -xf -
cd "$project"
# Nobody waits for this janitor: it is built to be there soon.
quickly=(CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256)
# An image name of its own. The engine of our own has no default bridge, and its stand-ins need no network.
{
    printf 'services:\n  janitor:\n    image: %s\n    build:\n      network: %s\n      args:\n' "$name" "$build_network"
    printf '        - %s\n' "${quickly[@]}"
} >test.yml
stack() {
    make --no-print-directory "COMPOSE=${compose[*]}" "$@"
}
# An address of loopback and a port that the engine picks.
export REGISTRY_PORT=127.0.0.1:
up=yes
echo "compose test: make build (the project's Dockerfile)"
stack build >"$work/build.log" 2>&1 || {
    cat "$work/build.log" >&2
    die "the image does not build"
}

check "the janitor in the image is static" bash -euo pipefail -c "
    docker create --name $name-binary $name >/dev/null
    docker cp $name-binary:/usr/local/bin/janitor $work/janitor
    docker rm $name-binary >/dev/null
    { ldd $work/janitor 2>&1 || true; } | grep -q 'statically linked\|not a dynamic'
    $work/janitor --version"
binary_alone() {
    docker buildx build --network "$build_network" "${quickly[@]/#/--build-arg=}" --target binary --output "type=local,dest=$work/dist" .
    cmp "$work/janitor" "$work/dist/janitor"
}
check "the binary of a release is the one in the image" binary_alone
check "make up: both services are healthy, with no .env" stack up
address=$("${compose[@]}" port registry 5000)

in_registry() {
    "${compose[@]}" exec -T registry "$@"
}
blobs() {
    in_registry find /var/lib/registry/docker/registry/v2/blobs -name data | wc -l
}
tags() {
    list_tags "$address/$1" | sort -V | tr '\n' ' '
}
layouts=$work/layouts
mkdir "$layouts"
base=$(random_layer "$layouts" 64)
for n in 1 2 3 4; do
    make_image "$layouts/app$n" amd64 "$base" "$(random_layer "$layouts" 64)"
    push_layout "$layouts/app$n" "$address/team/app:v$n"
done
make_multiarch_image "$layouts/multi" "$base"
push_layout "$layouts/multi" "$address/team/app/multi:1"
# Four images of config, manifest and a layer, the base layer; an index over two images of the same make.
check "the pushed images are in the store" is "$(blobs)" 20

# From here on with a .env file: the example, with the waits of a test.
sed -e 's/^GC_GRACE=.*/GC_GRACE=0s/' -e 's/^GC_SETTLE=.*/GC_SETTLE=1s/' -e 's/^GC_QUIET=.*/GC_QUIET=0s/' -e 's/^KEEP_LAST_N=.*/KEEP_LAST_N=2/' \
    .env.example >.env

check "make audit: names what would go" fails 0 "v1" stack audit
check "make audit: changed nothing" is "$(tags team/app)$(blobs)" "v1 v2 v3 v4 20"
check "make gc: ends well, beside the running loop" stack gc
asked_first() {
    "${compose[@]}" logs --no-color registry >"$work/registry.log"
    grep -q '"HEAD /v2/janitor-probe/.*" 404 ' "$work/registry.log"
}
check "it asked the registry before blobs went" asked_first
check "the newest two tags are left" is "$(tags team/app)" "v3 v4 "
check "the blobs of the others are gone from the disk" is "$(blobs)" 14
check "a kept image is pulled" pull "$address/team/app:v4" "$work/pulled-v4"
check "a kept multi-arch image is pulled, every architecture" pull "$address/team/app/multi:1" "$work/pulled-multi"
check "a removed image is not" fails any "manifest unknown" pull "$address/team/app:v1" "$work/pulled-v1"
check "a removed image can be pushed again" push_layout "$layouts/app1" "$address/team/app:v1"
check "and pulled again" pull "$address/team/app:v1" "$work/pulled-v1-again"
check "settings of the shell go before .env: one tag, and the janitor's own collector" \
    env KEEP_LAST_N=1 GC_ENGINE=native make --no-print-directory "COMPOSE=${compose[*]}" gc
check "one tag is left" is "$(tags team/app)" "v1 "
check "and the blobs of the others are gone" is "$(blobs)" 11
check "what is left is pulled" pull "$address/team/app:v1" "$work/pulled-v1-last"

check "janitor health, in the loop's container" "${compose[@]}" exec -T janitor janitor health
check "the loop's container is healthy" is "$(docker inspect --format '{{.State.Health.Status}}' "$("${compose[@]}" ps --quiet janitor)")" healthy

before=$(blobs)
echo KEEP_LST_N=5 >>.env
# make says 2 for any failure of its recipe.
check "a misspelt setting in .env is refused by its name" fails 2 KEEP_LST_N stack gc
check "and nothing ran" is "$(blobs)" "$before"
rm .env

# What compose makes of the settings; REGISTRY_PORT passes through .env and means nothing to the janitor.
settings() {
    docker compose --file docker-compose.yml config | grep -v REGISTRY_PORT
}
settings >"$work/settings"
example_says_the_defaults() {
    cp .env.example .env
    settings | diff "$work/settings" -
    rm .env
}
check "the example .env says the stack's defaults" example_says_the_defaults
every_setting_is_in_the_example() {
    diff <(sed -n 's/^#\{0,1\}\([A-Z_]*\)=.*/\1/p' .env.example | grep -v REGISTRY_PORT | sort) \
        <(sed -n '/^    environment:/,/^    [a-z]/s/^      \([A-Z_]*\):.*/\1/p' docker-compose.yml | sort)
}
check "the example .env has every setting of the stack, and no other" every_setting_is_in_the_example

override=(docker compose --project-name "$name" --file docker-compose.yml --file docker-compose.override.yml.example)
storage_box() {
    local volumes
    volumes=$(STORE=$work "${override[@]}" config | grep -c "source: $work\$")
    is "$volumes" 2
}
check "the override example puts both services on the storage box" storage_box
check "the override example asks for the directory" fails any "set STORE" "${override[@]}" config

stopped() {
    "${compose[@]}" stop janitor
    is "$(docker inspect --format '{{.State.ExitCode}}' "$("${compose[@]}" ps --all --quiet janitor)")" 143
}
check "the loop ends on SIGTERM" stopped
check "down --volumes leaves nothing" "${compose[@]}" down --volumes --timeout 5
check "the volume is gone" is "$(docker volume ls --quiet --filter "name=$name" | wc -l)" 0

echo "compose test: $checks checks passed"
