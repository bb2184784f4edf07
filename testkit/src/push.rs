//! Pushes as the clients in use make them: what they ask for, mount, and leave out because it is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use crate::client::{accepted, expect_status, location_of};
use crate::{Client, Digest, Document, Image};

/// What a client leaves out. All of them ask for each blob before they upload it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habits {
    /// Puts every manifest again, as skopeo and docker do.
    Skopeo,
    /// Asks for each manifest, also by tag, and puts only what is not there, as containerd and `BuildKit` do.
    Containerd,
    /// Asks for each child of an index, and does not even look at the blobs of one that is there, as crane does.
    Crane,
}

/// A push that the registry acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Whether the manifest was put under its tag, or found there and left alone.
    pub is_put: bool,
    /// How long the registry took for the slowest of the requests that change something.
    pub slowest: Duration,
}

impl Client {
    /// Pushes an image as a client with these habits does. Blobs that are missing are mounted from another
    /// repository where that has them.
    ///
    /// # Errors
    /// What the registry refused.
    pub fn push_like(
        &self,
        habits: Habits,
        repository: &str,
        reference: &str,
        image: &Image,
        mount_from: Option<&str>,
    ) -> Result<Pushed, String> {
        let mut slowest = Duration::ZERO;
        let mut timed = |request: &mut dyn FnMut() -> Result<(), String>| {
            let began = Instant::now();
            let answer = request();
            slowest = slowest.max(began.elapsed());
            answer
        };
        let (document, children) = image.documents().split_last().expect("an image has a document");
        let is_there = |child: &Document| {
            habits != Habits::Skopeo && self.manifest_digest(repository, child.digest().as_str()).is_some()
        };
        let missing: Vec<&Document> = children.iter().filter(|child| !is_there(child)).collect();
        let looked_at = match habits {
            Habits::Crane => missing.iter().copied().chain([document]).collect::<Vec<_>>(),
            Habits::Skopeo | Habits::Containerd => image.documents().iter().collect(),
        };
        let looked_at: BTreeSet<Digest> = looked_at.into_iter().flat_map(Document::references).collect();
        for (digest, bytes) in image.blobs().iter().filter(|(digest, _)| looked_at.contains(digest)) {
            if !self.has_blob(repository, digest) {
                timed(&mut || self.mount_or_upload(repository, digest, bytes, mount_from))?;
            }
        }
        for child in missing {
            timed(&mut || self.put_manifest(repository, child.digest().as_str(), child))?;
        }
        let is_put = habits != Habits::Containerd
            || self.manifest_digest(repository, reference).is_none_or(|digest| digest != document.digest());
        if is_put {
            timed(&mut || self.put_manifest(repository, reference, document))?;
        }
        Ok(Pushed { is_put, slowest })
    }

    /// The digest of what a tag or digest leads to, as the registry says it without sending it.
    pub fn manifest_digest(&self, repository: &str, reference: &str) -> Option<Digest> {
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"));
        let response = self.agent.head(url).header("Accept", accepted()).call().ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        Digest::try_parse(response.headers().get("Docker-Content-Digest")?.to_str().ok()?)
    }

    /// Asks the registry to take a blob over from another repository, and uploads it where it does not.
    fn mount_or_upload(
        &self,
        repository: &str,
        digest: &Digest,
        bytes: &[u8],
        mount_from: Option<&str>,
    ) -> Result<(), String> {
        let location = match mount_from {
            None => self.start_upload(repository)?,
            Some(from) => {
                let query = format!("mount={digest}&from={from}");
                let response = self
                    .agent
                    .post(self.url(&format!("/v2/{repository}/blobs/uploads/?{query}")))
                    .send_empty()
                    .map_err(|error| error.to_string())?;
                if response.status() == StatusCode::CREATED {
                    return Ok(());
                }
                let location = location_of(&response);
                expect_status(response, StatusCode::ACCEPTED)?;
                location.ok_or("the registry named no place for the upload")?
            }
        };
        self.finish_upload(&location, digest, bytes)
    }
}
