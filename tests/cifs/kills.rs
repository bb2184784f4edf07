//! A janitor that is killed in the middle of its work loses nothing, and the next one finishes.

use std::thread::sleep;
use std::time::Duration;

use janitor_testkit::Interrupt;

use crate::stage::Stage;

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn kills_between_the_two_looks_lose_nothing() {
    for undo in ["0s", "1h"] {
        let (stage, images) = Stage::with_versions(3);
        // Each sweep that is killed has taken everything, and the next one puts it back first.
        for _ in 0..2 {
            let mut running = stage.janitor().keep(1).env("GC_SETTLE", "1h").env("UNDO_WINDOW", undo).spawn();
            running
                .wait_until("the tags are taken", |running| running.stderr_so_far().contains("second look"));
            running.signal(Interrupt::Kill);
            drop(running);
            stage.assert_all_pull("app");
        }
        stage.assert_ends_with(1, &["v3"], &[&images[2]]);
    }
}

#[test]
#[ignore = "needs a network mount: make test-cifs"]
fn kills_at_any_time_lose_nothing() {
    let (stage, images) = Stage::with_versions(6);
    let client = stage.registry.client();
    let mut number = 0;
    // Longer and longer, until a sweep comes to its end.
    for wait in (0..).map(|step| Duration::from_millis(100 + 250 * step)) {
        let running = stage.janitor().keep(2).spawn();
        sleep(wait);
        running.signal(Interrupt::Kill);
        let has_ended = running.end_within(Duration::from_secs(60)).code == Some(0);
        stage.assert_all_pull("app");
        for tag in ["v5", "v6"] {
            client.pull("app", tag).unwrap_or_else(|missing| panic!("{tag} after {number} kills: {missing}"));
        }
        number += 1;
        if has_ended {
            break;
        }
    }
    assert!(number > 2, "it was killed only {number} times");
    stage.assert_ends_with(2, &["v5", "v6"], &[&images[4], &images[5]]);
}
