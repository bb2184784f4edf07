//! Pushes at the worst moments of a collection: what a registry acknowledged is whole when the sweep has ended.
//!
//! A registry answers from the disk: what it had looked at before something was hidden, it links afterwards.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex};

use janitor_testkit::{Digest, Format, Image, StoreBuilder, StoreView};
use registry_janitor::config::Config;
use registry_janitor::policy::Policy;
use registry_janitor::report::{CollectionStatus, SweepReport};
use registry_janitor::stop::Stop;
use registry_janitor::store::Op;

use super::stage::{NativeStage, leftovers};
use crate::stage::{hours_ago, just_now, push_index_alone, tag};
use crate::watch::{Hooks, Once};
use crate::witness::{assert_whole, missing};

/// When a push makes its last steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Everything was looked at, and nothing is hidden yet.
    Decided,
    /// All of it is hidden, and the second look has not begun.
    Hidden,
}

const MOMENTS: [Moment; 2] = [Moment::Decided, Moment::Hidden];

/// The last step of a push of which the registry had everything.
pub(crate) fn push_links_alone(view: &StoreView, repository: &str, name: &str, image: &Image) {
    for document in image.documents() {
        write_link(&view.revision_link(repository, &document.digest()), &document.digest());
    }
    tag(view, repository, name, &image.digest());
}

fn write_link(link: &std::path::Path, digest: &Digest) {
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::write(link, digest.as_str()).unwrap();
}

/// Nothing goes but what nothing references.
fn blobs_only(stage: &NativeStage) -> Config {
    let config = stage.config();
    let policy = Policy { keep_last: 10, untagged_stay: true, ..config.policy };
    Config { policy, delete_untagged: false, ..config }
}

/// Sweeps, and pushes once at this moment.
fn sweep_and_push(
    stage: &NativeStage,
    config: &Config,
    moment: Moment,
    push: impl Fn() + Send + Sync + 'static,
) -> SweepReport {
    let pushed = Arc::new(Once::default());
    let (done, hiding) = (Arc::clone(&pushed), Once::default());
    let watch = Hooks::before(move |op, path| {
        let is_moment = match moment {
            Moment::Decided => path.ends_with("-blobs/hidden-1.new"),
            Moment::Hidden => {
                if op == Op::Rename && ["/data", "/link"].iter().any(|name| path.ends_with(name)) {
                    hiding.first();
                }
                let is_next = path.ends_with("v2/repositories") || path.ends_with("trash/condemned");
                hiding.has_been() && [Op::Open, Op::MakeDir].contains(&op) && is_next
            }
        };
        if is_moment && done.first() {
            push();
        }
        Ok(())
    });
    let report = stage.stage.sweep_with(config, Some(watch), &Stop::default()).unwrap();
    assert!(pushed.has_been(), "the sweep never came to the moment of the push");
    report
}

/// Whatever was pushed: nothing is broken, what had to come back is told, and nothing is left behind.
fn finish(stage: &NativeStage, config: &Config, report: &SweepReport, rescued: bool, what: &str) {
    assert_whole(stage.view(), &stage.kept(), what);
    assert_eq!(report.exit_code, 0, "{what}: {:#?}", report.findings);
    assert_eq!(report.broken, [], "{what}");
    assert_eq!(report.collection.blobs_rescued > 0, rescued, "{what}: {:?}", report.collection);
    assert_eq!(leftovers(stage.view()), Vec::<std::path::PathBuf>::new(), "{what}");
    let again = stage.stage.sweep_with(config, None, &Stop::default()).unwrap();
    assert_eq!(again.exit_code, 0, "{what}: {:#?}", again.findings);
    assert_whole(stage.view(), &stage.kept(), &format!("the sweep after {what}"));
    assert_eq!(leftovers(stage.view()), Vec::<std::path::PathBuf>::new(), "the sweep after {what}");
}

fn assert_pulls(stage: &NativeStage, repository: &str, name: &str, what: &str) {
    assert_eq!(missing(stage.view(), repository, name), Vec::<String>::new(), "{what}");
}

#[test]
fn an_image_of_which_the_registry_had_everything_comes_back() {
    for moment in MOMENTS {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (view, image) = (stage.view().clone(), stage.gone.clone());
        let report = sweep_and_push(&stage, &config, moment, move || {
            push_links_alone(&view, "app", "late", &image);
        });
        assert_pulls(&stage, "app", "late", &format!("{moment:?}"));
        // Its links come back as well where nobody needs them: they lead to what is kept.
        assert!(stage.view().layer_link("other", &stage.layer()).exists());
        assert!(stage.alias(&stage.layer()).exists());
        finish(&stage, &config, &report, true, &format!("{moment:?}"));
        assert_pulls(&stage, "app", "late", &format!("the sweep after {moment:?}"));
    }
}

#[test]
fn a_manifest_that_is_written_half_beside_the_hidden_one_does_not_replace_it() {
    for half in [0, 20] {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (view, image) = (stage.view().clone(), stage.gone.clone());
        let report = sweep_and_push(&stage, &config, Moment::Hidden, move || {
            push_links_alone(&view, "app", "late", &image);
            fs::write(view.blob_data(&image.digest()), &image.document().bytes[..half]).unwrap();
        });
        assert_pulls(&stage, "app", "late", &format!("{half} bytes"));
        finish(&stage, &config, &report, true, &format!("{half} bytes"));
    }
}

#[test]
fn without_the_second_look_that_image_is_lost() {
    for moment in MOMENTS {
        let stage = NativeStage::new();
        let config = Config { skip_second_look: true, ..blobs_only(&stage) };
        let (view, image) = (stage.view().clone(), stage.gone.clone());
        let report = sweep_and_push(&stage, &config, moment, move || {
            push_links_alone(&view, "app", "late", &image);
        });
        assert_ne!(missing(stage.view(), "app", "late"), Vec::<String>::new(), "{moment:?}");
        assert_eq!(report.collection.status, CollectionStatus::Done, "{moment:?}");
        assert_whole(stage.view(), &stage.kept(), "what was there before");
    }
}

#[test]
fn an_index_over_a_hidden_manifest_gets_all_of_it_back() {
    for (moment, is_revision) in MOMENTS.into_iter().flat_map(|moment| [(moment, true), (moment, false)]) {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        // Registry 2.8 takes a layer link of the child for enough.
        write_link(&stage.view().layer_link("app", &stage.gone.digest()), &stage.gone.digest());
        let outer = Image::index(Format::Oci, &[&Image::index(Format::Oci, &[&stage.gone])]);
        let (view, gone, index) = (stage.view().clone(), stage.gone.clone(), outer.clone());
        let report = sweep_and_push(&stage, &config, moment, move || {
            if is_revision {
                write_link(&view.revision_link("app", &gone.digest()), &gone.digest());
            }
            let builder = StoreBuilder::new(view.root());
            let inner = &index.documents()[index.documents().len() - 2];
            builder.manifest("app", &inner.bytes, just_now());
            push_index_alone(&view, "app", "late", &index);
        });
        let what = format!("{moment:?}, a revision: {is_revision}");
        for digest in stage.gone.all_digests() {
            assert!(stage.view().has_blob(&digest), "{what}: {digest}");
        }
        for digest in stage.gone.blobs().keys() {
            assert!(stage.view().layer_link("app", digest).exists(), "{what}: {digest}");
        }
        finish(&stage, &config, &report, true, &what);
    }
}

#[test]
fn a_blob_that_was_uploaded_anew_stays_beside_the_hidden_one() {
    for moment in MOMENTS {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (builder, image) = (StoreBuilder::new(stage.root()), stage.gone.clone());
        let report = sweep_and_push(&stage, &config, moment, move || {
            builder.push("app", "late", &image, just_now());
        });
        assert_pulls(&stage, "app", "late", &format!("{moment:?}"));
        finish(&stage, &config, &report, true, &format!("{moment:?}"));
    }
}

#[test]
fn a_layer_uploaded_anew_stays_before_any_manifest_names_it() {
    for moment in MOMENTS {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let layer = stage.layer();
        let bytes = stage.gone.blobs()[&layer].clone();
        let builder = StoreBuilder::new(stage.root());
        let report = sweep_and_push(&stage, &config, moment, move || {
            builder.loose_layer("app", &bytes, just_now());
        });
        assert!(stage.view().has_blob(&layer) && stage.view().layer_link("app", &layer).exists());
        assert!(!stage.view().has_blob(&stage.gone.digest()), "nobody needs the manifest");
        assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
        assert_eq!(report.collection.blobs_rescued, 1, "{moment:?}");
        // The client goes on with its push.
        push_all(&stage, "late");
        assert_pulls(&stage, "app", "late", &format!("{moment:?}"));
    }
}

/// As a client that was told what is missing.
fn push_all(stage: &NativeStage, name: &str) {
    StoreBuilder::new(stage.root()).push("app", name, &stage.gone, just_now());
}

#[test]
fn a_layer_linked_anew_through_a_handle_that_was_open_before_stays() {
    // Registry 2.8 opens a link, truncates it and writes it; it may end after the first or the second.
    for text in [true, false] {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let layer = stage.layer();
        let handle = File::options().write(true).open(stage.view().layer_link("app", &layer)).unwrap();
        let (handle, digest) = (Mutex::new(handle), layer.clone());
        let report = sweep_and_push(&stage, &config, Moment::Hidden, move || {
            let mut handle = handle.lock().unwrap();
            handle.set_len(0).unwrap();
            handle.seek(SeekFrom::Start(0)).unwrap();
            if text {
                handle.write_all(digest.as_str().as_bytes()).unwrap();
            }
        });
        assert!(stage.view().has_blob(&layer), "written: {text}");
        assert!(stage.view().layer_link("app", &layer).exists(), "written: {text}");
        assert_eq!(report.collection.blobs_rescued, 1, "{:?}", report.collection);
        push_all(&stage, "late");
        assert_eq!(stage.stage.sweep_with(&config, None, &Stop::default()).unwrap().exit_code, 0);
        assert_pulls(&stage, "app", "late", "a handle that was open");
    }
}

#[test]
fn a_layer_that_was_mounted_elsewhere_stays() {
    for (moment, repository) in MOMENTS.into_iter().flat_map(|it| [(it, "app/nested"), (it, "new/one")]) {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (view, layer) = (stage.view().clone(), stage.layer());
        let digest = layer.clone();
        let report = sweep_and_push(&stage, &config, moment, move || {
            write_link(&view.layer_link(repository, &digest), &digest);
        });
        let what = format!("{moment:?} {repository}");
        assert!(stage.view().has_blob(&layer), "{what}");
        assert!(stage.view().layer_link(repository, &layer).exists(), "{what}");
        assert_eq!(report.collection.blobs_rescued, 1, "{what}");
    }
}

#[test]
fn an_image_in_a_new_repository_is_whole() {
    for moment in MOMENTS {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (view, image) = (stage.view().clone(), stage.gone.clone());
        let report = sweep_and_push(&stage, &config, moment, move || {
            for digest in image.blobs().keys() {
                write_link(&view.layer_link("new/one", digest), digest);
            }
            push_links_alone(&view, "new/one", "late", &image);
        });
        assert_pulls(&stage, "new/one", "late", &format!("{moment:?}"));
        finish(&stage, &config, &report, true, &format!("{moment:?}"));
    }
}

/// The manifest of what is gone, but for the name of a layer.
fn naming_a_layer_by_sha512(stage: &NativeStage) -> String {
    let layer = stage.layer();
    let text = String::from_utf8(stage.gone.document().bytes.clone()).unwrap();
    let manifest = text.replace(layer.as_str(), &stage.long(&layer));
    assert_ne!(manifest, text);
    manifest
}

#[test]
fn a_layer_under_another_algorithm_comes_back_with_what_it_leads_to() {
    for (moment, repository) in MOMENTS.into_iter().flat_map(|it| [(it, "app"), (it, "other")]) {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (layer, manifest) = (stage.layer(), naming_a_layer_by_sha512(&stage));
        let builder = StoreBuilder::new(stage.root());
        let alias = stage.alias(&layer);
        let (digest, config_digest) = (layer.clone(), stage.config_blob());
        let report = sweep_and_push(&stage, &config, moment, move || {
            let digest = builder.manifest(repository, manifest.as_bytes(), just_now());
            tag(builder.view(), repository, "late", &digest);
        });
        let what = format!("{moment:?} {repository}");
        assert!(stage.view().has_blob(&digest) && alias.exists(), "{what}: its layer is lost");
        assert!(stage.view().has_blob(&config_digest), "{what}: its configuration is lost");
        // Where no link says which blob it is, any blob may be, so the manifest that is gone comes back as well.
        let in_doubt = usize::from(repository == "other");
        assert_eq!(report.collection.blobs_rescued, stage.gone.blobs().len() + in_doubt, "{what}");
    }
}

#[test]
fn a_layer_under_another_algorithm_comes_back_although_its_hidden_link_cannot_be_read() {
    for error in [5, 2] {
        let stage = NativeStage::new();
        let config = blobs_only(&stage);
        let (layer, manifest) = (stage.layer(), naming_a_layer_by_sha512(&stage));
        let builder = StoreBuilder::new(stage.root());
        let (hiding, pushed, unread) = (Once::default(), Once::default(), Arc::new(Once::default()));
        let failed = Arc::clone(&unread);
        let watch = Hooks::before(move |op, path| {
            if op == Op::Rename && path.ends_with("/link") {
                hiding.first();
            }
            let is_next = hiding.has_been() && op == Op::Open && path.ends_with("v2/repositories");
            if is_next && pushed.first() {
                let digest = builder.manifest("app", manifest.as_bytes(), just_now());
                tag(builder.view(), "app", "late", &digest);
            }
            let is_hidden = path.contains("/sha512/") && path.ends_with("/link.janitor");
            if op == Op::Open && is_hidden && failed.first() {
                return Err(std::io::Error::from_raw_os_error(error));
            }
            Ok(())
        });
        stage.stage.sweep_with(&config, Some(watch), &Stop::default()).unwrap();
        assert!(unread.has_been(), "the hidden link was never read");
        assert!(stage.view().has_blob(&layer) && stage.alias(&layer).exists(), "its layer is lost: {error}");
    }
}

/// Everything is pushed once more when this operation on a path that ends so comes.
fn sweep_and_push_all_before(stage: &NativeStage, op: Op, ending: &str) -> SweepReport {
    let pushed = Arc::new(Once::default());
    let (done, moment) = (Arc::clone(&pushed), ending.to_owned());
    let (builder, image) = (StoreBuilder::new(stage.root()), stage.gone.clone());
    let watch = Hooks::before(move |made, path| {
        if made == op && path.ends_with(&moment) && done.first() {
            builder.push("app", "late", &image, just_now());
        }
        Ok(())
    });
    let report = stage.stage.sweep_with(&blobs_only(stage), Some(watch), &Stop::default()).unwrap();
    assert!(pushed.has_been(), "the sweep never came to {ending}");
    report
}

#[test]
fn what_is_pushed_after_the_condemnation_is_left_alone() {
    let probe = NativeStage::new();
    let (layer, manifest) = (probe.layer(), probe.gone.digest());
    let moments = [
        (Op::Remove, format!("{}/link.janitor", layer.hex())),
        (Op::Remove, format!("_layers/sha256/{}", layer.hex())),
        (Op::Remove, format!("{}/data.janitor", layer.hex())),
        (Op::Remove, format!("{}/{}", &layer.hex()[..2], layer.hex())),
        (Op::Remove, format!("{}/{}", &manifest.hex()[..2], manifest.hex())),
    ];
    for (op, ending) in moments {
        let stage = NativeStage::new();
        let report = sweep_and_push_all_before(&stage, op, &ending);
        assert_pulls(&stage, "app", "late", &ending);
        finish(&stage, &blobs_only(&stage), &report, false, &ending);
        assert_pulls(&stage, "app", "late", &format!("the sweep after {ending}"));
    }
}

#[test]
fn what_was_pushed_long_before_and_is_needed_by_nothing_goes() {
    let stage = NativeStage::new();
    let old = stage.stage.builder.loose_layer("app", b"an old layer", hours_ago(5));
    let report = stage.stage.sweep_with(&blobs_only(&stage), None, &Stop::default()).unwrap();
    assert_eq!((report.collection.blobs_rescued, report.totals.blobs_removed), (0, 5));
    assert!(!stage.view().has_blob(&old));
    finish(&stage, &blobs_only(&stage), &report, false, "an undisturbed sweep");
}
