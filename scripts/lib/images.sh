# shellcheck shell=bash
# Real OCI images out of nothing but tar, gzip and sha256sum. Sourced by the scripts.
#
# An image is made as an OCI layout (a directory that skopeo can push):
#
#   layer=$(random_layer "$layouts" 512)
#   make_image "$layouts/v1" amd64 "$layer"
#   push_layout "$layouts/v1" "$address/team/app:v1"

# random_layer DIR KIB: writes a layer of about so many KiB, prints its path. Random, so that it does not shrink.
random_layer() {
    local dir=$1 kib=$2 content file
    content=$(mktemp -d "$dir/content.XXXXXX")
    file=$(mktemp "$dir/layer.XXXXXX")
    head -c "$((kib * 1024))" /dev/urandom >"$content/data"
    tar -C "$content" -cf "$file" data
    rm -r "$content"
    echo "$file"
}

digest_of() {
    echo "sha256:$(sha256sum "$1" | cut -d' ' -f1)"
}

# add_blob LAYOUT MEDIA_TYPE FILE: puts a copy of the file into the layout, prints its descriptor.
add_blob() {
    local layout=$1 media_type=$2 file=$3 digest
    digest=$(digest_of "$file")
    mkdir -p "$layout/blobs/sha256"
    cp "$file" "$layout/blobs/sha256/${digest#sha256:}"
    printf '{"mediaType":"%s","digest":"%s","size":%d}' "$media_type" "$digest" "$(stat -c %s "$file")"
}

# add_manifest LAYOUT ARCHITECTURE LAYER...: adds config, layers and manifest, prints the manifest's descriptor.
add_manifest() {
    local layout=$1 architecture=$2 layers="" diffs="" layer config scratch
    shift 2
    scratch=$(mktemp -d)
    for layer in "$@"; do
        gzip --no-name --fast --stdout "$layer" >"$scratch/layer.gz"
        layers+=${layers:+,}$(add_blob "$layout" application/vnd.oci.image.layer.v1.tar+gzip "$scratch/layer.gz")
        diffs+=${diffs:+,}\"$(digest_of "$layer")\"
    done
    printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$architecture" "$diffs" >"$scratch/config"
    config=$(add_blob "$layout" application/vnd.oci.image.config.v1+json "$scratch/config")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
        "$config" "$layers" >"$scratch/manifest"
    add_blob "$layout" application/vnd.oci.image.manifest.v1+json "$scratch/manifest"
    rm -r "$scratch"
}

# finish_layout LAYOUT DESCRIPTOR: makes the descriptor what the layout is about.
finish_layout() {
    printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
    printf '{"schemaVersion":2,"manifests":[%s]}' "$2" >"$1/index.json"
}

# make_image LAYOUT ARCHITECTURE LAYER...
make_image() {
    finish_layout "$1" "$(add_manifest "$@")"
}

# make_multiarch_image LAYOUT LAYER: one image for amd64, one for arm64, and an index over both.
make_multiarch_image() {
    local layout=$1 layer=$2 children="" architecture child scratch
    for architecture in amd64 arm64; do
        child=$(add_manifest "$layout" "$architecture" "$layer" "$(random_layer "$(dirname "$layer")" 64)")
        children+="${children:+,}${child%\}},\"platform\":{\"architecture\":\"$architecture\",\"os\":\"linux\"}}"
    done
    scratch=$(mktemp)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' \
        "$children" >"$scratch"
    finish_layout "$layout" "$(add_blob "$layout" application/vnd.oci.image.index.v1+json "$scratch")"
    rm "$scratch"
}

# make_signature LAYOUT DIGEST: a companion image as cosign writes it, for the image of that digest.
make_signature() {
    local layout=$1 digest=$2 scratch layer config
    scratch=$(mktemp -d)
    printf '{"critical":{"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"}}' \
        "$digest" >"$scratch/payload"
    layer=$(add_blob "$layout" application/vnd.dev.cosign.simplesigning.v1+json "$scratch/payload")
    printf '{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
        "$(digest_of "$scratch/payload")" >"$scratch/config"
    config=$(add_blob "$layout" application/vnd.oci.image.config.v1+json "$scratch/config")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
        "$config" "$layer" >"$scratch/manifest"
    finish_layout "$layout" "$(add_blob "$layout" application/vnd.oci.image.manifest.v1+json "$scratch/manifest")"
    rm -r "$scratch"
}

# layout_digest LAYOUT: the digest of the image (or index) that the layout is about.
layout_digest() {
    grep -o 'sha256:[0-9a-f]\{64\}' "$1/index.json"
}

# push_layout LAYOUT REFERENCE: as it is, every architecture, digests unchanged.
push_layout() {
    skopeo --insecure-policy copy --quiet --all --preserve-digests --dest-tls-verify=false \
        "oci:$1" "docker://$2"
}

# pull REFERENCE DIR: every architecture and layer, each one verified by skopeo.
pull() {
    skopeo --insecure-policy copy --quiet --all --preserve-digests --src-tls-verify=false \
        "docker://$1" "dir:$2"
}

# list_tags ADDRESS/REPOSITORY: one per line. skopeo answers in JSON, one tag on each line; a repository that is
# gone has none.
list_tags() {
    skopeo list-tags --tls-verify=false "docker://$1" 2>/dev/null | sed -n '/"Tags"/,/]/s/^ *"\([^"]*\)",\{0,1\}$/\1/p'
}
