//! A small registry client: pushes as clients do, and pulls every last byte of an image.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::{Digest, Document, Format, Habits, Image};

/// Far above every document and layer the tests make.
const LARGEST_BODY_BYTES: u64 = 256 << 20;

/// Speaks plain HTTP to one registry.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    pub(crate) agent: Agent,
}

/// A pull that brought everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Digest of the manifest or index that was asked for.
    pub digest: Digest,
    /// It, every document below it, every configuration and layer.
    pub digests: BTreeSet<Digest>,
    /// Manifests and indexes among them.
    pub documents: usize,
}

/// The first piece of an image that could not be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// `manifest` or `blob`.
    pub kind: &'static str,
    /// Digest or tag that was asked for.
    pub reference: String,
    /// What the registry answered instead.
    pub answer: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} cannot be pulled: {}", self.kind, self.reference, self.answer)
    }
}

impl std::error::Error for Missing {}

impl Client {
    /// Speaks to the registry at this `host:port`.
    pub fn new(address: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Self { address: address.to_owned(), agent }
    }

    /// Whether the registry answers at all, be it that it wants a password.
    pub fn is_up(&self) -> bool {
        let is_answer = |status| [StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&status);
        self.agent.get(self.url("/v2/")).call().is_ok_and(|response| is_answer(response.status()))
    }

    /// Pushes an image under a tag: asks for each blob, uploads what is missing, then puts the manifests.
    #[track_caller]
    pub fn push(&self, repository: &str, tag: &str, image: &Image) {
        if let Err(refusal) = self.try_push(repository, tag, image) {
            panic!("pushing {repository}:{tag}: {refusal}");
        }
    }

    /// Pushes an image by digest only.
    #[track_caller]
    pub fn push_untagged(&self, repository: &str, image: &Image) {
        self.push(repository, image.digest().as_str(), image);
    }

    /// Pushes an image, or says what the registry refused.
    pub fn try_push(&self, repository: &str, reference: &str, image: &Image) -> Result<(), String> {
        self.push_like(Habits::Skopeo, repository, reference, image, None).map(drop)
    }

    /// Uploads a blob unless the registry says that it has it.
    pub fn push_blob(&self, repository: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        if self.has_blob(repository, digest) {
            return Ok(());
        }
        let location = self.start_upload(repository)?;
        self.finish_upload(&location, digest, bytes)
    }

    /// Starts an upload and leaves it there; tells where it goes on.
    pub fn start_upload(&self, repository: &str) -> Result<String, String> {
        let response = self
            .agent
            .post(self.url(&format!("/v2/{repository}/blobs/uploads/")))
            .send_empty()
            .map_err(|error| error.to_string())?;
        let location = location_of(&response);
        expect_status(response, StatusCode::ACCEPTED)?;
        location.ok_or_else(|| "the registry named no place for the upload".to_owned())
    }

    /// Sends a blob's bytes to where its upload goes on, and ends the upload.
    pub(crate) fn finish_upload(&self, location: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        let separator = if location.contains('?') { '&' } else { '?' };
        let response = self
            .agent
            .put(format!("{location}{separator}digest={digest}"))
            .header("Content-Type", "application/octet-stream")
            .send(bytes)
            .map_err(|error| error.to_string())?;
        expect_status(response, StatusCode::CREATED)
    }

    /// Whether the registry says that it has a blob.
    pub fn has_blob(&self, repository: &str, digest: &Digest) -> bool {
        self.agent
            .head(self.url(&format!("/v2/{repository}/blobs/{digest}")))
            .call()
            .is_ok_and(|response| response.status() == StatusCode::OK)
    }

    /// Pulls an image: its manifest, every child, the configurations and all layers, each digest verified.
    pub fn pull(&self, repository: &str, reference: &str) -> Result<Pulled, Missing> {
        let document = self.get_manifest(repository, reference)?;
        let mut pulled = Pulled { digest: Digest::of(&document), digests: BTreeSet::new(), documents: 0 };
        let mut waiting = vec![document];
        while let Some(bytes) = waiting.pop() {
            if !pulled.digests.insert(Digest::of(&bytes)) {
                continue;
            }
            pulled.documents += 1;
            let document: Value = serde_json::from_slice(&bytes).map_err(|error| Missing {
                kind: "manifest",
                reference: Digest::of(&bytes).to_string(),
                answer: format!("it is not JSON: {error}"),
            })?;
            for child in digests_in(&document["manifests"]) {
                waiting.push(self.get_manifest(repository, &child)?);
            }
            let config = document["config"]["digest"].as_str().map(ToOwned::to_owned);
            for blob in config.into_iter().chain(digests_in(&document["layers"])) {
                let digest = Digest::parse(&blob);
                if pulled.digests.insert(digest.clone()) {
                    self.get_blob(repository, &digest)?;
                }
            }
        }
        Ok(pulled)
    }

    /// Deletes a manifest by digest, and with it every tag that holds it.
    #[track_caller]
    pub fn delete(&self, repository: &str, digest: &Digest) {
        let response = self
            .agent
            .delete(self.url(&format!("/v2/{repository}/manifests/{digest}")))
            .call()
            .map_err(|error| error.to_string());
        let deleted = response.and_then(|response| expect_status(response, StatusCode::ACCEPTED));
        if let Err(refusal) = deleted {
            panic!("deleting {repository}@{digest}: {refusal}");
        }
    }

    /// A repository's tags, in the registry's words; none for a repository it does not know.
    pub fn tags(&self, repository: &str) -> BTreeSet<String> {
        self.get_json(&format!("/v2/{repository}/tags/list"))["tags"]
            .as_array()
            .map(|tags| strings(tags))
            .unwrap_or_default()
    }

    /// The repositories the registry knows.
    pub fn catalog(&self) -> BTreeSet<String> {
        self.get_json("/v2/_catalog?n=1000")["repositories"]
            .as_array()
            .map(|repositories| strings(repositories))
            .unwrap_or_default()
    }

    /// Puts a manifest, whatever its bytes are, or says what the registry refused.
    pub fn put_manifest(&self, repository: &str, reference: &str, document: &Document) -> Result<(), String> {
        let response = self
            .agent
            .put(self.url(&format!("/v2/{repository}/manifests/{reference}")))
            .header("Content-Type", &document.media_type)
            .send(document.bytes.as_slice())
            .map_err(|error| error.to_string())?;
        expect_status(response, StatusCode::CREATED)
    }

    /// The bytes of a manifest.
    pub fn get_manifest(&self, repository: &str, reference: &str) -> Result<Vec<u8>, Missing> {
        let missing = |answer: String| Missing { kind: "manifest", reference: reference.to_owned(), answer };
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"));
        let response = self
            .agent
            .get(url)
            .header("Accept", accepted())
            .call()
            .map_err(|error| missing(error.to_string()))?;
        let bytes = body_of(response).map_err(&missing)?;
        match Digest::try_parse(reference) {
            Some(asked) if asked != Digest::of(&bytes) => {
                Err(missing("its bytes have another digest".to_owned()))
            }
            _ => Ok(bytes),
        }
    }

    fn get_blob(&self, repository: &str, digest: &Digest) -> Result<(), Missing> {
        let missing = |answer: String| Missing { kind: "blob", reference: digest.to_string(), answer };
        let response = self
            .agent
            .get(self.url(&format!("/v2/{repository}/blobs/{digest}")))
            .call()
            .map_err(|error| missing(error.to_string()))?;
        let bytes = body_of(response).map_err(&missing)?;
        if Digest::of(&bytes) == *digest {
            Ok(())
        } else {
            Err(missing("its bytes have another digest".to_owned()))
        }
    }

    fn get_json(&self, path: &str) -> Value {
        let response =
            self.agent.get(self.url(path)).call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        if response.status() == StatusCode::NOT_FOUND {
            return Value::Null;
        }
        let body = body_of(response).unwrap_or_else(|answer| panic!("GET {path}: {answer}"));
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Every media type of a manifest or index.
pub(crate) fn accepted() -> String {
    [Format::Docker.manifest(), Format::Docker.index(), Format::Oci.manifest(), Format::Oci.index()]
        .join(", ")
}

/// Where the registry says that an upload goes on.
pub(crate) fn location_of(response: &Response<Body>) -> Option<String> {
    response.headers().get("Location")?.to_str().ok().map(ToOwned::to_owned)
}

fn digests_in(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["digest"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}

fn strings(values: &[Value]) -> BTreeSet<String> {
    values.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn body_of(mut response: Response<Body>) -> Result<Vec<u8>, String> {
    let status = response.status();
    let bytes = response
        .body_mut()
        .with_config()
        .limit(LARGEST_BODY_BYTES)
        .read_to_vec()
        .map_err(|error| format!("{status}, then {error}"))?;
    if status == StatusCode::OK {
        Ok(bytes)
    } else {
        Err(format!("{status} {}", String::from_utf8_lossy(&bytes).trim()))
    }
}

pub(crate) fn expect_status(mut response: Response<Body>, expected: StatusCode) -> Result<(), String> {
    let status = response.status();
    if status == expected {
        return Ok(());
    }
    let body = response.body_mut().read_to_string().unwrap_or_default();
    Err(format!("{status} {}", body.trim()))
}
