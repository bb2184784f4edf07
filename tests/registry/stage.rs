//! What the tests begin with: a registry, a series of pushes, the janitor on its store.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use janitor_testkit::{Digest, Image, Janitor, Registry, ago};

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_janitor")
}

/// One sweep of this registry's store.
pub(crate) fn janitor(registry: &Registry) -> Janitor {
    Janitor::for_registry(binary(), registry)
}

/// Pushes images in this order, the last one now and each earlier one a minute before the next. Pushes within
/// one tick of the clock would else have no order.
pub(crate) fn push_series(registry: &Registry, repository: &str, series: &[(&str, &Image)]) {
    let client = registry.client();
    for (tag, image) in series {
        client.push(repository, tag, image);
    }
    for ((tag, _), minutes) in series.iter().rev().zip(0..) {
        registry.set_push_time(repository, tag, ago(Duration::from_secs(60 * minutes)));
    }
}

/// Pushes `v1`, `v2` … in this order; image `n` is [`Image::small`] of `n`.
pub(crate) fn push_versions(registry: &Registry, repository: &str, count: u64) -> Vec<Image> {
    let images: Vec<Image> = (1..=count).map(Image::small).collect();
    let tags: Vec<String> = (1..=count).map(|number| format!("v{number}")).collect();
    let series: Vec<(&str, &Image)> = tags.iter().map(String::as_str).zip(&images).collect();
    push_series(registry, repository, &series);
    images
}

/// Everything these images need.
pub(crate) fn digests_of<'a>(images: impl IntoIterator<Item = &'a Image>) -> BTreeSet<Digest> {
    images.into_iter().flat_map(Image::all_digests).collect()
}

/// The blobs on the registry's disk.
pub(crate) fn blobs_on_disk(registry: &Registry) -> BTreeSet<Digest> {
    registry.view().blobs().into_keys().collect()
}

/// Tag names as a set.
pub(crate) fn names(tags: &[&str]) -> BTreeSet<String> {
    tags.iter().map(|&tag| tag.to_owned()).collect()
}

/// Fails unless every tag of the repository pulls, down to the last layer.
#[track_caller]
pub(crate) fn assert_all_pull(registry: &Registry, repository: &str) {
    let client = registry.client();
    for tag in client.tags(repository) {
        if let Err(missing) = client.pull(repository, &tag) {
            panic!("{repository}:{tag}: {missing}");
        }
    }
}

/// The part of the store that is the registry's own.
pub(crate) fn registry_part(registry: &Registry) -> PathBuf {
    registry.store().join("docker")
}

/// One request in HTTP's oldest form: status and body. The harness's client knows sha256 only.
pub(crate) fn request(
    registry: &Registry,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        registry.address(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end_of_head = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[..end_of_head]).split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_off(end_of_head + 4))
}
