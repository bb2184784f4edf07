//! The store that most of these tests begin with, and one sweep of it.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use janitor_testkit::{Digest, Image, StoreBuilder, StoreView, ago, scratch_directory};
use jiff::SignedDuration;
use registry_janitor::cli::{LogFormat, LogLevel, OutputFormat};
use registry_janitor::config::{Config, Guards};
use registry_janitor::policy::Policy;
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::{Store, Watch};
use registry_janitor::sweep::{SweepError, sweep_store};
use tempfile::TempDir;

/// A store with something of everything, of which a sweep that keeps two tags takes a part.
///
/// - `app`: `multi`, a multi-arch image, and `v3` stay; `v2` and `v1` go. `multi` and `v1` are signed by
///   companion tags, `v3` has a referrer, and a manifest is untagged.
/// - `app/nested`: `shared` is `v3` of `app`.
/// - `emptied`: an untagged manifest, so that nothing is left.
/// - `busy`: an upload and nothing else.
pub(crate) struct Stage {
    pub(crate) builder: StoreBuilder,
    pub(crate) versions: Vec<Image>,
    pub(crate) multi: Image,
    pub(crate) untagged: Image,
    pub(crate) emptied: Image,
    pub(crate) referrer: Image,
    directory: TempDir,
}

/// Made once, since compressing their layers takes most of the time of making a stage.
static IMAGES: LazyLock<([Image; 5], Image)> =
    LazyLock::new(|| ([1, 2, 3, 4, 5].map(Image::small), Image::multi_arch(7)));

impl Stage {
    pub(crate) fn new() -> Self {
        let directory = scratch_directory("janitor-stage-");
        let builder = StoreBuilder::new(directory.path());
        let (small, multi) = IMAGES.clone();
        let [v1, v2, v3, untagged, emptied] = small;
        let versions = vec![v1, v2, v3];
        let referrer = Image::referrer_of(&versions[2], "application/spdx+json", "sbom");
        for (version, hours) in versions.iter().zip([5, 4, 3]) {
            builder.push("app", &format!("v{}", 6 - hours), version, hours_ago(hours));
        }
        builder.push("app", "multi", &multi, hours_ago(2));
        for image in [&versions[0], &multi] {
            let signature = Image::cosign_signature_of(image);
            builder.push("app", &image.companion_tag(".sig"), &signature, hours_ago(2));
        }
        builder.push_untagged("app", &referrer, hours_ago(3));
        builder.push_untagged("app", &untagged, hours_ago(6));
        builder.push("app/nested", "shared", &versions[2], hours_ago(3));
        builder.push_untagged("emptied", &emptied, hours_ago(6));
        builder.upload("busy", "0b1d7dc6-8c46-4c6f-a0a9-4a7b6cbd7f0e", b"half a layer", hours_ago(1));
        Self { builder, versions, multi, untagged, emptied, referrer, directory }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn view(&self) -> &StoreView {
        self.builder.view()
    }

    /// The tags that stay.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        vec![
            ("app", "multi".into()),
            ("app", "v3".into()),
            ("app", self.multi.companion_tag(".sig")),
            ("app/nested", "shared".into()),
        ]
    }

    /// One sweep that keeps two tags and reclaims no blobs, one file operation at a time.
    pub(crate) fn sweep(&self, watch: Option<Box<dyn Watch>>) -> Result<SweepReport, SweepError> {
        self.sweep_with(&self.config(), watch, &Stop::default())
    }

    /// One sweep that removes no tag and, of what was pushed within the last hours, nothing.
    pub(crate) fn sweep_keeping_all(&self) {
        let mut config = self.config();
        config.policy.keep_last = 100;
        config.grace = SignedDuration::from_hours(24);
        let report = self.sweep_with(&config, None, &Stop::default()).unwrap();
        assert_eq!(report.exit_code, 0);
    }

    pub(crate) fn sweep_with(
        &self,
        config: &Config,
        watch: Option<Box<dyn Watch>>,
        stop: &Stop,
    ) -> Result<SweepReport, SweepError> {
        let store = Store::open(self.root(), config.jobs, watch)?;
        sweep_store(&store, config, stop)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            policy: Policy {
                keep_last: 2,
                grace: SignedDuration::ZERO,
                trust_equal_push_times: false,
                untagged_stay: false,
            },
            delete_untagged: true,
            grace: SignedDuration::ZERO,
            guards: Guards { max_remove_percent: 50, accept_losses: false },
            undo_window: SignedDuration::ZERO,
            dry_run: false,
            run_once: true,
            interval: Duration::from_secs(3600),
            lock_wait: Duration::ZERO,
            jobs: 1,
            data_dir: self.root().into(),
            settle: Duration::ZERO,
            collection: None,
            probe: None,
            output: OutputFormat::None,
            log_format: LogFormat::Text,
            log_level: LogLevel::Error,
            heartbeat: self.root().join("unused"),
            doubt_max_age: jiff::SignedDuration::from_hours(7 * 24),
            skip_second_look: false,
        }
    }
}

/// So long ago.
pub(crate) fn hours_ago(hours: u64) -> SystemTime {
    ago(Duration::from_secs(3600 * hours))
}

/// The time of a push that comes now.
pub(crate) fn just_now() -> SystemTime {
    ago(Duration::ZERO)
}

/// Writes a tag's links, as the last step of a push.
pub(crate) fn tag(view: &StoreView, repository: &str, tag: &str, digest: &Digest) {
    for link in [view.index_link(repository, tag, digest), view.current_link(repository, tag)] {
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(link, digest.as_str()).unwrap();
    }
}

/// Pushes an index alone: the client asked for its children before, and was told that they are there.
pub(crate) fn push_index_alone(view: &StoreView, repository: &str, name: &str, index: &Image) {
    let builder = StoreBuilder::new(view.root());
    builder.manifest(repository, &index.document().bytes, just_now());
    tag(view, repository, name, &index.digest());
}
