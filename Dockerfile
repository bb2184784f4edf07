# The janitor inside the stock registry image, so that its collector is always the registry's own.
#
#   docker build -t registry-janitor .                                       # on registry:2.8.3
#   docker build -t registry-janitor --build-arg REGISTRY_IMAGE=registry:3 . # on registry:3
#   docker buildx build --platform linux/amd64,linux/arm64 .                 # both architectures
#   docker buildx build --target binary --output type=local,dest=dist .      # only the static binary
#
# Build on the image that the registry itself runs: a collector of another major version can remove
# manifests that the registry still serves.

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG REGISTRY_IMAGE=registry:2.8.3

# Compiled on the machine that builds, for the machine that runs: no emulation for a foreign architecture.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG TARGETARCH
# Cargo's own settings, for who would rather have it soon than fast, as the tests of the stack do.
ARG CARGO_PROFILE_RELEASE_OPT_LEVEL
ARG CARGO_PROFILE_RELEASE_LTO
ARG CARGO_PROFILE_RELEASE_CODEGEN_UNITS
WORKDIR /src

# Linked statically against glibc: the binary runs on the Alpine of the registry image as well as anywhere else. The one
# crate that is not pure Rust, ring, brings its C and assembler along, and the image has a compiler. Cargo reads its
# settings from the root directory, above /src. A linker and a standard library are installed only for a foreign
# architecture.
RUN set -eu; \
    case "${TARGETARCH:-}" in \
      amd64) cpu=x86_64 ;; \
      arm64) cpu=aarch64 ;; \
      *) echo "no build for architecture '${TARGETARCH:-}': amd64 and arm64 only (BuildKit is required)" >&2; exit 1 ;; \
    esac; \
    target="$cpu-unknown-linux-gnu"; \
    mkdir -p /.cargo; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nrustflags = ["-C", "target-feature=+crt-static"]\n' \
      "$target" "$target" > /.cargo/config.toml; \
    if [ "$(uname -m)" != "$cpu" ]; then \
      printf 'linker = "%s-linux-gnu-gcc"\n' "$cpu" >> /.cargo/config.toml; \
      rustup target add "$target"; \
      apt-get update; \
      apt-get install --yes --no-install-recommends \
        "gcc-$(echo "$cpu" | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross"; \
      rm -rf /var/lib/apt/lists/*; \
    fi

# The dependencies have a layer of their own, built from the manifests and empty sources: it is made again only
# when the manifests change. Benches, examples and tests are struck out of this copy, their files are not here.
COPY Cargo.toml Cargo.lock ./
COPY testkit/Cargo.toml testkit/
RUN set -eu; \
    sed -i '/^\[\[\(bench\|example\|test\)\]\]/,/^$/d' Cargo.toml testkit/Cargo.toml; \
    mkdir -p src testkit/src; \
    echo 'fn main() {}' > src/main.rs; \
    touch src/lib.rs testkit/src/lib.rs; \
    cargo build --release --locked --bin janitor; \
    rm -rf src testkit

COPY . .
# The empty sources are newer than the real ones may be; cargo goes by the time of change.
RUN set -eu; \
    find src -name '*.rs' -exec touch {} +; \
    cargo build --release --locked --bin janitor; \
    cp target/*/release/janitor /janitor

# Only the binary, for releases.
FROM scratch AS binary
COPY --from=build /janitor /janitor

FROM ${REGISTRY_IMAGE}
ARG REGISTRY_IMAGE
LABEL org.opencontainers.image.title="registry-janitor" \
      org.opencontainers.image.description="Keeps a self-hosted container registry from growing forever" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.base.name="${REGISTRY_IMAGE}"
COPY --from=build /janitor /usr/local/bin/janitor
# What the allocator of glibc keeps for later: less of it, and what is large goes back to the system at once.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536
# The image's user is kept (root, as the registry): files made or moved under another uid would be closed to it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/janitor", "health"]
ENTRYPOINT ["/usr/local/bin/janitor"]
# The registry image's own arguments are not the janitor's.
CMD []
