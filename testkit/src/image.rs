//! Images of deterministic content: single, multi-arch, referrers, signatures.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::json;

use crate::{Descriptor, Digest, Document, Format, Platform};

/// One file of random bytes; equal seed and size give an equal layer, which is then shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    seed: u64,
    size_bytes: usize,
}

impl Layer {
    /// A layer with one file of this many bytes.
    pub fn seeded(seed: u64, size_bytes: usize) -> Self {
        Self { seed, size_bytes }
    }

    /// The layer as an uncompressed tar archive.
    fn tar(self) -> Vec<u8> {
        let content = random_bytes(self.seed, self.size_bytes);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_data(&mut header, format!("srv/{:016x}.bin", self.seed), content.as_slice())
            .expect("a tar archive in memory takes every file");
        archive.into_inner().expect("a tar archive in memory ends")
    }
}

/// What a single image is made of; [`ImageSpec::build`] makes it.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    format: Format,
    platform: Platform,
    layers: Vec<Layer>,
    gzip: bool,
    subject: Option<Descriptor>,
    comment: String,
}

impl ImageSpec {
    /// An OCI image for linux/amd64 without layers; `comment` makes its configuration its own.
    pub fn new(comment: &str) -> Self {
        Self {
            format: Format::Oci,
            platform: Platform::linux("amd64"),
            layers: Vec::new(),
            gzip: true,
            subject: None,
            comment: comment.to_owned(),
        }
    }

    /// Docker's or OCI's media types.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Built for linux on this architecture.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.platform = Platform::linux(architecture);
        self
    }

    /// One more layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Layers are stored uncompressed.
    #[must_use]
    pub fn plain_layers(mut self) -> Self {
        self.gzip = false;
        self
    }

    /// The image is about another one.
    #[must_use]
    pub fn subject(mut self, subject: &Image) -> Self {
        self.subject = Some(subject.descriptor());
        self
    }

    /// Makes the image.
    pub fn build(&self) -> Image {
        let mut blobs = BTreeMap::new();
        let mut add = |media_type: &str, bytes: Vec<u8>| {
            let descriptor = Descriptor::of(media_type, &bytes);
            blobs.insert(descriptor.digest.clone(), bytes);
            descriptor
        };
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in &self.layers {
            let tar = layer.tar();
            diff_ids.push(Digest::of(&tar).to_string());
            layers.push(if self.gzip {
                add(self.format.gzip_layer(), gzip(&tar))
            } else {
                add(self.format.plain_layer(), tar)
            });
        }
        let config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": [{ "comment": self.comment }],
        });
        let config = add(self.format.config(), serde_json::to_vec(&config).expect("a JSON value serialises"));
        let manifest = Document::manifest(self.format, &config, &layers, self.subject.as_ref(), None);
        Image { documents: vec![manifest], blobs, platform: Some(self.platform.clone()), artifact_type: None }
    }
}

/// A whole image: every document, children first, and every blob they name.
#[derive(Clone, Debug)]
pub struct Image {
    documents: Vec<Document>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    platform: Option<Platform>,
    artifact_type: Option<String>,
}

impl Image {
    /// A small OCI image: one layer that all such images share, and one of its own.
    pub fn small(seed: u64) -> Self {
        ImageSpec::new(&format!("small {seed}"))
            .layer(Layer::seeded(u64::MAX, 2048))
            .layer(Layer::seeded(seed, 1024))
            .build()
    }

    /// An index of three platforms with Docker's media types, which is what 2.8 sees most.
    pub fn multi_arch(seed: u64) -> Self {
        Self::multi_arch_in(Format::Docker, seed)
    }

    /// An index of three platforms; each has a layer of its own, two share one.
    pub fn multi_arch_in(format: Format, seed: u64) -> Self {
        let children: Vec<Self> = ["amd64", "arm64", "s390x"]
            .iter()
            .zip(1_u64..)
            .map(|(architecture, number)| {
                ImageSpec::new(&format!("multi-arch {seed}"))
                    .format(format)
                    .architecture(architecture)
                    .layer(Layer::seeded(seed * 1000 + number / 3, 1500))
                    .layer(Layer::seeded(seed * 1000 + 10 + number, 1500))
                    .build()
            })
            .collect();
        Self::index(format, &children.iter().collect::<Vec<_>>())
    }

    /// An index of these images; a child may be an index itself.
    pub fn index(format: Format, children: &[&Self]) -> Self {
        let descriptors: Vec<Descriptor> = children.iter().map(|child| child.descriptor()).collect();
        let mut documents: Vec<Document> = Vec::new();
        let mut blobs = BTreeMap::new();
        for child in children {
            documents.extend(child.documents.iter().cloned());
            blobs.extend(child.blobs.clone());
        }
        documents.push(Document::index(format, &descriptors));
        Self { documents, blobs, platform: None, artifact_type: None }
    }

    /// A referrer: an OCI manifest with `subject`, as `oras attach` and notation push it by digest.
    pub fn referrer_of(subject: &Self, artifact_type: &str, payload: &str) -> Self {
        let mut referrer = Self::artifact(
            artifact_type,
            "application/vnd.oci.empty.v1+json",
            payload,
            Some(&subject.descriptor()),
        );
        referrer.artifact_type = Some(artifact_type.to_owned());
        referrer
    }

    /// A signature as cosign stores it under the companion tag `sha256-<hex>.sig`: it has no `subject`.
    pub fn cosign_signature_of(subject: &Self) -> Self {
        let claim = json!({
            "critical": {
                "identity": { "docker-reference": "" },
                "image": { "docker-manifest-digest": subject.digest().as_str() },
                "type": "cosign container image signature",
            },
        });
        Self::artifact(
            "application/vnd.dev.cosign.simplesigning.v1+json",
            Format::Oci.config(),
            &claim.to_string(),
            None,
        )
    }

    /// What a client writes under `sha256-<hex>` where the registry has no referrers API: an index of the
    /// referrers, which are pushed by digest.
    pub fn fallback_index(referrers: &[&Self]) -> Self {
        Self::index(Format::Oci, referrers)
    }

    /// The document the image is known by.
    pub fn document(&self) -> &Document {
        self.documents.last().expect("an image has a document")
    }

    /// Every document, children before what lists them.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Every configuration and layer.
    pub fn blobs(&self) -> &BTreeMap<Digest, Vec<u8>> {
        &self.blobs
    }

    /// The image's digest.
    pub fn digest(&self) -> Digest {
        self.document().digest()
    }

    /// Points at the image, with its platform.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            platform: self.platform.clone(),
            artifact_type: self.artifact_type.clone(),
            ..self.document().descriptor()
        }
    }

    /// Digests of everything the image needs: documents, configurations, layers.
    pub fn all_digests(&self) -> Vec<Digest> {
        self.documents.iter().map(Document::digest).chain(self.blobs.keys().cloned()).collect()
    }

    /// The companion tag of this image: `sha256-<hex>` and a suffix such as `.sig`.
    pub fn companion_tag(&self, suffix: &str) -> String {
        self.digest().companion_tag(suffix)
    }

    fn artifact(payload_type: &str, config_type: &str, payload: &str, subject: Option<&Descriptor>) -> Self {
        let config_bytes = b"{}".to_vec();
        let config = Descriptor::of(config_type, &config_bytes);
        let layer = Descriptor::of(payload_type, payload.as_bytes());
        let artifact_type = subject.map(|_| payload_type);
        let manifest =
            Document::manifest(Format::Oci, &config, std::slice::from_ref(&layer), subject, artifact_type);
        Self {
            documents: vec![manifest],
            blobs: BTreeMap::from([
                (config.digest, config_bytes),
                (layer.digest, payload.as_bytes().to_vec()),
            ]),
            platform: None,
            artifact_type: None,
        }
    }
}

/// The same bytes for the same seed, on every machine.
pub(crate) fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressing in memory works")
}
