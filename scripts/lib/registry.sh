# shellcheck shell=bash
# The stock registry on loopback with a store of its own. Sourced by the scripts; needs packages.sh.

# clean_environment WORK: sets clean_env, the start of a command line without the surrounding shell's settings.
clean_environment() {
    clean_env=(env -i "PATH=$PATH" "HOME=$HOME" "TMPDIR=$1" "TERM=${TERM:-dumb}" \
        "COLUMNS=${COLUMNS:-$(tput cols 2>/dev/null || echo 110)}")
}

# start_registry BINARY WORK: with the configuration that the stack ships and a store in the directory WORK. Sets
# store, config, registry_pid and address. Needs clean_env.
start_registry() {
    local binary=$1 work=$2
    store=$work/store
    config=$work/registry-config.yml
    mkdir -p "$store"
    # 0: the system picks a port.
    sed -e "s#rootdirectory:.*#rootdirectory: $store#" -e 's#addr: :5000#addr: 127.0.0.1:0#' \
        config/registry-config.yml >"$config"
    "${clean_env[@]}" "$binary" serve "$config" >"$work/registry.log" 2>&1 &
    registry_pid=$!
    address=
    for _ in $(seq 100); do
        address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$work/registry.log")
        [ -z "$address" ] || return 0
        kill -0 "$registry_pid" 2>/dev/null || die "the registry did not start: $(tail -n 3 "$work/registry.log")"
        sleep 0.1
    done
    die "the registry does not listen: $(tail -n 3 "$work/registry.log")"
}

# stop_registry: the one that was started, if any.
stop_registry() {
    if [ -n "${registry_pid:-}" ]; then
        kill "$registry_pid" 2>/dev/null || true
        wait "$registry_pid" 2>/dev/null || true
        registry_pid=
    fi
}
