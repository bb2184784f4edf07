//! What manifests reference is remembered: a later look reads no manifest again, comes to the same, and is never
//! misled by the file.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use janitor_testkit::{Damage, Descriptor, Digest, Document, Format, Image, Tree};
use registry_janitor::report::SweepReport;
use registry_janitor::stop::Stop;
use registry_janitor::store::Op;
use serde_json::Value;

use crate::stage::{Stage, hours_ago, just_now, tag};
use crate::watch::{Hooks, Log, mutates};
use crate::witness::assert_whole;

fn file(stage: &Stage) -> PathBuf {
    stage.root().join("janitor/references")
}

/// A store that was swept, with some more to do.
fn remembered() -> Stage {
    let stage = Stage::new();
    assert_eq!(stage.sweep(None).unwrap().exit_code, 0);
    stage
}

fn audit(stage: &Stage) -> (SweepReport, Arc<Log>) {
    logged(stage, true)
}

fn logged(stage: &Stage, dry_run: bool) -> (SweepReport, Arc<Log>) {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let watch = Hooks::before(move |op, path| {
        seen.add(op, path);
        Ok(())
    });
    let mut config = stage.config();
    config.dry_run = dry_run;
    (stage.sweep_with(&config, Some(watch), &Stop::default()).unwrap(), log)
}

/// The manifests that were read.
fn read(log: &Log) -> Vec<String> {
    let is_manifest = |(op, path): &(Op, String)| *op == Op::Read && path.contains("/blobs/");
    log.all().into_iter().filter(is_manifest).map(|(_, path)| path).collect()
}

/// A report without what tells one run from another.
fn told(report: &SweepReport) -> Value {
    let mut report = serde_json::to_value(report).unwrap();
    for key in ["sweep", "started_at", "stages"] {
        report.as_object_mut().unwrap().remove(key);
    }
    report
}

fn codes(report: &SweepReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn a_second_sweep_and_an_audit_read_no_manifest() {
    let stage = remembered();
    for dry_run in [true, false] {
        let (report, log) = logged(&stage, dry_run);
        assert_eq!(report.exit_code, 0);
        assert_eq!(read(&log), Vec::<String>::new(), "{dry_run}");
        let written = log.all().into_iter().filter(|(op, path)| mutates(*op) && path.contains("references"));
        assert_eq!(written.count(), 0, "nothing has changed");
    }
}

#[test]
fn of_a_new_push_only_its_own_manifest_is_read() {
    let stage = remembered();
    stage.builder.push("app/nested", "new", &Image::small(70), just_now());
    let (_, log) = logged(&stage, false);
    let new = Image::small(70).digest();
    assert!(matches!(&read(&log)[..], [path] if path.contains(new.hex())), "{:?}", read(&log));
    assert_eq!(read(&logged(&stage, false).1), Vec::<String>::new());
}

#[test]
fn a_plain_blob_that_an_index_lists_is_not_read_again() {
    let stage = Stage::new();
    let blob = b"{\"a\":\"configuration\"}";
    stage.builder.loose_layer("app", blob, hours_ago(3));
    let index = Document::index(Format::Docker, &[Descriptor::of(Format::Docker.config(), blob)]);
    let digest = stage.builder.manifest("app", &index.bytes, just_now());
    tag(stage.view(), "app", "cache", &digest);
    stage.sweep(None).unwrap();
    assert_eq!(read(&audit(&stage).1), Vec::<String>::new());
}

#[test]
fn what_is_remembered_is_what_would_be_read() {
    let stage = remembered();
    stage.builder.push("app", "later", &Image::multi_arch(71), just_now());
    stage.builder.push_untagged("app/nested", &Image::small(72), hours_ago(1));
    stage.sweep_keeping_all();
    let (with, log) = audit(&stage);
    assert_eq!(read(&log), Vec::<String>::new());
    Damage::to(stage.view()).remove(&file(&stage));
    let (without, log) = audit(&stage);
    assert_ne!(read(&log), Vec::<String>::new());
    assert_eq!(told(&with), told(&without));
}

#[test]
fn a_file_that_is_damaged_is_told_and_is_as_none() {
    let stage = remembered();
    let good = fs::read(file(&stage)).unwrap();
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 1;
    let mut other = good.clone();
    let version = good.iter().position(u8::is_ascii_digit).unwrap();
    other[version] = b'0';
    let bads =
        [Vec::new(), good[..good.len() / 2].to_vec(), flipped, other, b"not at all".to_vec(), vec![0; 9000]];
    for (bad, at) in bads.into_iter().zip(0..) {
        fs::write(file(&stage), &bad).unwrap();
        let before = Tree::of(stage.root());
        let (report, log) = audit(&stage);
        before.assert_unchanged(&Tree::of(stage.root()));
        assert_eq!((report.exit_code, codes(&report)), (0, vec!["no-references"]), "{at}");
        assert_ne!(read(&log), Vec::<String>::new(), "{at}");
        let (report, _) = logged(&stage, false);
        assert_eq!((report.exit_code, codes(&report)), (0, vec!["no-references"]), "{at}");
        assert_eq!(fs::read(file(&stage)).unwrap().len(), good.len(), "{at}: it is written anew");
        assert_eq!(codes(&audit(&stage).0), Vec::<&str>::new(), "{at}");
    }
}

#[test]
fn a_file_that_cannot_be_read_or_written_stops_nothing() {
    let stage = Stage::new();
    let failing =
        |kind: Op, error: fn() -> io::Error| {
            Hooks::before(move |op, path| {
                if op == kind && path.contains("janitor/references") { Err(error()) } else { Ok(()) }
            })
        };
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    for kind in [Op::Write, Op::Rename] {
        let report = stage.sweep(Some(failing(kind, full))).unwrap();
        assert_eq!((report.exit_code, codes(&report)), (0, vec!["no-references"]), "{kind:?}");
        let left = fs::read_dir(stage.root().join("janitor")).unwrap();
        let left =
            left.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().contains("references"));
        assert_eq!(left.count(), 0, "{kind:?}: it takes no room");
    }
    stage.sweep(None).unwrap();
    for kind in [Op::Open, Op::Read] {
        let bad = || io::Error::from_raw_os_error(5);
        let report = stage.sweep(Some(failing(kind, bad))).unwrap();
        assert_eq!((report.exit_code, codes(&report)), (3, vec!["no-references"]), "{kind:?}");
    }
    assert_whole(stage.view(), &stage.kept(), "afterwards");
}

#[test]
fn a_manifest_that_is_gone_or_cut_short_after_it_was_read_is_told_and_nothing_of_it_goes() {
    type Hurt = fn(&Damage, &Stage, &Digest);
    let hurts: [(&str, Hurt); 4] = [
        ("empty", |damage, _, digest| damage.truncate_blob(digest)),
        ("cut short", |damage, stage, digest| damage.halve(&stage.view().blob_data(digest))),
        ("without its data", |damage, _, digest| damage.remove_blob_data(digest)),
        ("gone", |damage, _, digest| damage.remove_blob(digest)),
    ];
    for (what, hurt) in hurts {
        for number in 0..2 {
            let stage = remembered();
            // The index, and one of its platforms.
            let mut digests: Vec<Digest> = stage.multi.documents().iter().map(Document::digest).collect();
            digests.sort_by_key(|digest| *digest != stage.multi.digest());
            let digest = digests.swap_remove(number);
            hurt(&Damage::to(stage.view()), &stage, &digest);
            let blobs = stage.view().blobs();
            for dry_run in [true, false] {
                let (report, _) = logged(&stage, dry_run);
                assert_eq!(report.exit_code, 3, "{what} {dry_run}");
                let is_told = report.broken.iter().any(|broken| {
                    broken.tag.as_str() == "multi"
                        && broken.missing.iter().any(|it| it.to_string() == digest.as_str())
                });
                assert!(is_told, "{what} {dry_run}: {:?}", report.broken);
            }
            assert_eq!(stage.view().blobs(), blobs, "{what}");
        }
    }
}

#[test]
fn a_manifest_that_rotted_after_it_was_read_holds_what_it_held_and_a_check_tells_of_it() {
    let stage = remembered();
    let digest = stage.versions[2].digest();
    let before = (stage.view().blobs(), stage.view().revisions("app"));
    Damage::to(stage.view()).garble_blob(&digest);
    let (report, log) = logged(&stage, false);
    assert_eq!((report.exit_code, read(&log).len()), (0, 0), "its bytes are not looked at");
    assert_eq!((stage.view().blobs(), stage.view().revisions("app")), before);
}

#[test]
fn what_is_no_longer_in_the_store_is_forgotten_in_time() {
    let stage = remembered();
    let size = || fs::metadata(file(&stage)).unwrap().len();
    let before = size();
    for seed in 80..90 {
        stage.builder.push("app", &format!("w{seed}"), &Image::small(seed), just_now());
    }
    stage.sweep_keeping_all();
    assert!(size() > before);
    stage.sweep(None).unwrap();
    assert!(size() < before + 600, "{} after {before}", size());
}
