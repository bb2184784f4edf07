//! The slow file system passes on what the disk does, answers many at once, and counts.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test of the harness works on files, starts processes, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use janitor_testkit::{
    BulkSpec, Image, Registry, RegistryOptions, RequestKind, SlowFs, SlowFsOptions, StoreView, registry_bin,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

/// What changes something.
const CHANGES: [RequestKind; 6] = [
    RequestKind::MkDir,
    RequestKind::Create,
    RequestKind::Write,
    RequestKind::Rename,
    RequestKind::Unlink,
    RequestKind::RmDir,
];

/// A directory of the disk, and where it is mounted; unmounted before the directory goes.
struct Mounted {
    slow: SlowFs,
    disk: PathBuf,
    _directory: TempDir,
}

fn mounted(delay: Duration) -> Mounted {
    let directory = TempDir::with_prefix("janitor-slow-fs-").unwrap();
    let (disk, at) = (directory.path().join("disk"), directory.path().join("slow"));
    fs::create_dir(&disk).unwrap();
    // Longer than a test takes on any machine, so that the counts are what they are.
    let remembers = Duration::from_secs(600);
    let slow = SlowFs::mount(&disk, &at, SlowFsOptions { delay, remembers })
        .expect("FUSE: root mounts itself, other users need the Debian package fuse3");
    Mounted { slow, disk, _directory: directory }
}

fn prompt() -> Mounted {
    mounted(Duration::ZERO)
}

/// Names below a directory, with what they are.
fn listing(at: &Path) -> BTreeMap<String, bool> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.file_type().unwrap().is_dir())
    };
    fs::read_dir(at).unwrap().map(entry).collect()
}

#[test]
fn what_is_written_through_it_is_on_the_disk_with_the_same_attributes() {
    let on = prompt();
    let (slow, disk) = (&on.slow, &on.disk);
    let (at, below) = (slow.path().join("a/b"), disk.join("a/b"));
    fs::create_dir_all(&at).unwrap();
    let file = at.join("file");
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&file, &content).unwrap();
    assert!(fs::read(below.join("file")).unwrap() == content, "the content is passed on");
    assert!(fs::read(&file).unwrap() == content, "and comes back");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let past = UNIX_EPOCH + Duration::new(1_500_000_000, 123_456_789);
    let times = FileTimes::new().set_modified(past).set_accessed(past);
    OpenOptions::new().write(true).open(&file).unwrap().set_times(times).unwrap();
    for path in ["a", "a/b", "a/b/file"] {
        let seen = |root: &Path| {
            let found = fs::symlink_metadata(root.join(path)).unwrap();
            let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
            let rest = (found.ino(), found.mode(), found.nlink(), found.uid(), found.size(), found.blocks());
            (times, rest)
        };
        assert_eq!(seen(slow.path()), seen(disk), "{path}");
    }
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), past);
    assert_eq!(fs::metadata(slow.path().join("a")).unwrap().nlink(), 3, "a directory counts those in it");
    assert_eq!(
        fs::metadata(&file).unwrap().dev(),
        fs::metadata(slow.path()).unwrap().dev(),
        "it is one file system"
    );
}

#[test]
fn files_are_truncated_appended_to_and_written_in_the_middle() {
    let on = prompt();
    let (slow, disk) = (&on.slow, &on.disk);
    let (path, below) = (slow.path().join("file"), disk.join("file"));
    fs::write(&path, "0123456789").unwrap();
    let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    file.set_len(6).unwrap();
    file.write_all_at(b"ab", 2).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
    file.sync_all().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), fs::read_to_string(&below).unwrap().as_str()), ("01ab45!", "01ab45!"));
    drop(OpenOptions::new().write(true).truncate(true).open(&path).unwrap());
    assert_eq!(fs::read_to_string(&below).unwrap(), "");
    let again = OpenOptions::new().write(true).create_new(true).open(&path).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert!(slow.requests().of(RequestKind::Fsync) == 1, "{}", slow.requests());
}

#[test]
fn what_is_open_stays_so_after_it_was_renamed_and_removed() {
    let on = prompt();
    let slow = &on.slow;
    let at = |name: &str| slow.path().join(name);
    fs::create_dir(at("old")).unwrap();
    fs::write(at("old/file"), "content").unwrap();
    let mut file = File::open(at("old/file")).unwrap();
    fs::rename(at("old"), at("new")).unwrap();
    assert_eq!(fs::read_to_string(at("new/file")).unwrap(), "content");
    fs::remove_file(at("new/file")).unwrap();
    fs::remove_dir(at("new")).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    assert!(listing(slow.path()).is_empty());
}

#[test]
fn renames_and_removals_are_refused_as_on_the_disk() {
    let on = prompt();
    let slow = &on.slow;
    let at = |name: &str| slow.path().join(name);
    fs::create_dir_all(at("full/below")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("other")).unwrap();
    let over = fs::rename(at("empty"), at("full")).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(fs::remove_dir(at("full")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    let kept = renameat_with(CWD, at("empty"), CWD, at("other"), RenameFlags::NOREPLACE).unwrap_err();
    assert_eq!(kept, rustix::io::Errno::EXIST);
    fs::rename(at("full"), at("empty")).unwrap();
    assert_eq!(listing(slow.path()).keys().collect::<Vec<_>>(), ["empty", "other"]);
    assert_eq!(listing(&at("empty")), BTreeMap::from([("below".to_owned(), true)]));
    assert_eq!(fs::remove_file(at("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::File::open(at("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn directories_that_change_places_take_along_what_is_in_them() {
    let on = prompt();
    let at = |name: &str| on.slow.path().join(name);
    for name in ["one", "two"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("file"), name).unwrap();
    }
    renameat_with(CWD, at("one"), CWD, at("two"), RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read_to_string(at("one/file")).unwrap(), "two");
    assert_eq!(fs::read_to_string(at("two/file")).unwrap(), "one");
}

#[test]
fn what_the_kernel_knows_is_not_held_open() {
    const FILES: usize = 2000;
    let on = prompt();
    let store = on.slow.path().join("many");
    fs::create_dir(&store).unwrap();
    for number in 0..FILES {
        fs::write(store.join(number.to_string()), "").unwrap();
    }
    assert_eq!(listing(&store).len(), FILES);
    let open = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < FILES / 2, "{open} files are open");
}

#[test]
fn links_and_locks_work() {
    let on = prompt();
    let (slow, disk) = (&on.slow, &on.disk);
    let at = |name: &str| slow.path().join(name);
    fs::write(at("file"), "content").unwrap();
    symlink("file", at("symbolic")).unwrap();
    fs::hard_link(at("file"), at("hard")).unwrap();
    assert_eq!(fs::read_link(at("symbolic")).unwrap(), Path::new("file"));
    assert_eq!(fs::read_to_string(at("symbolic")).unwrap(), "content");
    assert_eq!(fs::metadata(disk.join("hard")).unwrap().nlink(), 2);
    let (one, two) = (File::open(at("file")).unwrap(), File::open(at("file")).unwrap());
    one.try_lock().unwrap();
    assert!(two.try_lock().is_err(), "one lock at a time");
    drop(one);
    two.try_lock().unwrap();
}

#[test]
fn a_long_listing_is_complete_and_tells_kinds_and_attributes() {
    let on = prompt();
    let (slow, disk) = (&on.slow, &on.disk);
    for number in 0..2000 {
        fs::write(disk.join(format!("{number:064}")), "x").unwrap();
    }
    fs::create_dir(disk.join("directory")).unwrap();
    let before = slow.requests();
    let listed = listing(slow.path());
    assert_eq!(listed.len(), 2001);
    assert_eq!(listed.values().filter(|is_dir| **is_dir).count(), 1);
    assert_eq!(fs::metadata(slow.path().join(format!("{:064}", 7))).unwrap().len(), 1);
    let made = slow.requests().since(&before);
    assert_eq!(made.of(RequestKind::Lookup), 0, "the listing brought the attributes: {made}");
    assert_eq!(made.of(RequestKind::OpenDir), 1, "{made}");
}

#[test]
fn each_kind_of_request_is_counted() {
    let mut on = prompt();
    let (slow, disk) = (&mut on.slow, &on.disk);
    fs::create_dir_all(disk.join("a/b")).unwrap();
    fs::write(disk.join("a/b/file"), "content").unwrap();
    slow.remount().unwrap();
    let before = slow.requests();
    assert_eq!(fs::read_to_string(slow.path().join("a/b/file")).unwrap(), "content");
    let made = slow.requests().since(&before);
    assert_eq!(made.of(RequestKind::Lookup), 3, "a, b, file: {made}");
    assert_eq!((made.of(RequestKind::Open), made.of(RequestKind::Read)), (1, 1), "{made}");
    assert_eq!(made.total(), 5, "and nothing else, not even for what is closed: {made}");

    slow.remount().unwrap();
    let before = slow.requests();
    assert_eq!(listing(&slow.path().join("a")).len(), 1);
    let made = slow.requests().since(&before);
    assert_eq!(made.to_string().split(", close").next(), Some("lookup 1, opendir 1, readdir 2"), "{made}");

    let before = slow.requests();
    fs::create_dir(slow.path().join("c")).unwrap();
    fs::write(slow.path().join("c/file"), "content").unwrap();
    fs::rename(slow.path().join("c/file"), slow.path().join("c/new")).unwrap();
    fs::remove_file(slow.path().join("c/new")).unwrap();
    fs::remove_dir(slow.path().join("c")).unwrap();
    let made = slow.requests().since(&before);
    for kind in CHANGES {
        assert_eq!(made.of(kind), 1, "{}: {made}", kind.name());
    }
}

#[test]
fn what_was_asked_for_is_remembered_until_it_is_mounted_again() {
    let mut on = prompt();
    let (slow, disk) = (&mut on.slow, &on.disk);
    fs::write(disk.join("file"), "content").unwrap();
    let ask = |slow: &SlowFs| {
        let before = slow.requests();
        fs::symlink_metadata(slow.path().join("file")).unwrap();
        fs::symlink_metadata(slow.path().join("nothing")).unwrap_err();
        slow.requests().since(&before).total()
    };
    assert_eq!(ask(slow), 2);
    assert_eq!(ask(slow), 0, "also that there is nothing");
    slow.remount().unwrap();
    assert_eq!(ask(slow), 2);
}

#[test]
fn sixty_four_callers_wait_at_the_same_time() {
    const CALLERS: usize = 64;
    let on = mounted(Duration::from_secs(2));
    let (slow, disk) = (&on.slow, &on.disk);
    for number in 0..CALLERS {
        fs::write(disk.join(number.to_string()), "x").unwrap();
    }
    let together = Barrier::new(CALLERS);
    thread::scope(|scope| {
        for number in 0..CALLERS {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                assert_eq!(fs::metadata(slow.path().join(number.to_string())).unwrap().len(), 1);
            });
        }
    });
    assert_eq!(slow.requests().of(RequestKind::Lookup), CALLERS as u64, "{}", slow.requests());
    assert_eq!(slow.most_at_once(), CALLERS);
}

#[test]
fn it_is_unmounted_with_the_value_whatever_is_open() {
    let Mounted { slow, _directory: directory, .. } = prompt();
    let at = slow.path().to_owned();
    let mut file = File::create(at.join("file")).unwrap();
    drop(slow);
    assert!(listing(&at).is_empty(), "the directory below is seen again");
    assert!(file.write_all(b"content").is_err(), "and what was open ends in errors");
    let panicked = thread::spawn(|| {
        let Mounted { slow, _directory: directory, .. } = prompt();
        let kept = (directory, File::create(slow.path().join("file")).unwrap());
        std::panic::resume_unwind(Box::new(kept));
    });
    panicked.join().unwrap_err();
    drop(directory);
    assert!(!at.exists());
}

#[test]
fn a_registry_serves_and_collects_on_it() {
    let on = prompt();
    let slow = &on.slow;
    let store = slow.path().join("store");
    let registry = Registry::start_with(RegistryOptions { store: Some(store), ..Default::default() });
    let client = registry.client();
    let (old, new) = (Image::small(1), Image::multi_arch(2));
    client.push("app", "v1", &old);
    client.push("app", "v2", &new);
    assert!(client.pull("app", "v2").is_ok());
    client.delete("app", &old.digest());
    let mut collector = Command::new(registry_bin());
    let collected = collector.env_clear().arg("garbage-collect").arg(registry.config()).output().unwrap();
    assert!(collected.status.success(), "{}", String::from_utf8_lossy(&collected.stderr));
    let gone = StoreView::new(registry.store()).blob_data(&old.digest());
    assert!(!gone.exists(), "it collects what nothing names");
    assert!(client.pull("app", "v2").is_ok());
    assert!(slow.requests().of(RequestKind::Rename) > 0, "uploads are renamed: {}", slow.requests());
}

#[test]
fn a_large_store_is_listed_whole() {
    let on = prompt();
    let (slow, disk) = (&on.slow, &on.disk);
    let summary =
        BulkSpec { repositories: 3, tags: 4, untagged: 1, ..BulkSpec::default() }.write(&disk.join("store"));
    let find = |root: &Path| {
        let mut find = Command::new("find");
        find.current_dir(root).args(["store", "-type", "f", "-printf", "%p %s %T@ %i\n"]);
        let output = find.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    let seen = find(slow.path());
    assert_eq!(seen, find(disk));
    assert!(seen.len() > summary.blobs);
}
