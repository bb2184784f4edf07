//! Pulls of everything that must pull, and the verdict on what does not.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use janitor_testkit::{Client, Missing};

use crate::ledger::Promise;
use crate::run::Field;
use crate::tally::Loss;

/// Something that must pull and did not.
struct Failed {
    reference: String,
    missing: Missing,
}

/// Pulls again and again until the pushers are done.
pub(crate) fn pull_on(field: &Field<'_>, mut random: Rng) {
    loop {
        // Looked at before the round, so that one more begins after the last push.
        let is_last = !field.pushing.load(Ordering::Relaxed);
        let mut promises = field.ledger.promises();
        random.shuffle(&mut promises);
        let suspects: Vec<Promise> = promises.into_iter().filter(|it| is_suspect(field, it)).collect();
        if !suspects.is_empty() {
            judge(field, &suspects);
        }
        if is_last {
            return;
        }
        thread::sleep(Duration::from_millis(random.u64(5..50)));
    }
}

/// Pulls every promise once more when nothing moves any more.
pub(crate) fn pull_at_the_end(field: &Field<'_>) {
    for promise in field.ledger.promises() {
        if let Err(failed) = pull(&field.client, &promise) {
            lose(field, &promise, &failed);
        }
    }
}

/// Whether it does not pull although it must.
fn is_suspect(field: &Field<'_>, promise: &Promise) -> bool {
    // The round takes a while, and the pushes go on.
    if field.ledger.still(promise).is_none() {
        return false;
    }
    // The registry truncates a link before it writes it, and answers with an error in between.
    let is_whole = (0..2).any(|_| pull(&field.client, promise).is_ok());
    field.tally().whole += usize::from(is_whole);
    !is_whole && field.ledger.still(promise).is_some()
}

/// Waits for a whole sweep, whose second look puts back what was taken from under a push. What does not pull
/// then is lost, provided that no push let it go in the meantime.
fn judge(field: &Field<'_>, suspects: &[Promise]) {
    for suspect in suspects {
        field.ledger.freeze(&suspect.repository);
    }
    while suspects.iter().any(|suspect| field.ledger.is_pushed_to(&suspect.repository)) {
        thread::sleep(Duration::from_millis(10));
    }
    field.sweeps.wait_for_a_whole_one();
    for suspect in suspects {
        match field.ledger.still(suspect).map(|promise| (pull(&field.client, &promise), promise)) {
            None => field.tally().undecided += 1,
            Some((Ok(()), promise)) => {
                field.tally().late.push(format!("{}:{}", promise.repository, promise.tag));
            }
            Some((Err(failed), promise)) => lose(field, &promise, &failed),
        }
        field.ledger.thaw(&suspect.repository);
    }
}

fn lose(field: &Field<'_>, promise: &Promise, failed: &Failed) {
    let missing = failed.missing.to_string();
    let place = (promise.repository.clone(), failed.reference.clone());
    let told = field.sweeps.last().is_some_and(|told| {
        told.broken.contains(&place)
            || told.troubles.iter().any(|trouble| trouble.contains(&failed.missing.reference))
    });
    let mark = if failed.reference.starts_with("sha256:") { '@' } else { ':' };
    let asked = format!("{}{mark}{}", promise.repository, failed.reference);
    let tag = (promise.repository.clone(), promise.tag.clone());
    field.tally().lost.insert(asked.clone(), Loss { tag, asked, missing, told });
    field.ledger.lost(promise);
}

fn pull(client: &Client, promise: &Promise) -> Result<(), Failed> {
    let all = std::iter::once(&promise.tag).chain(&promise.companions);
    for reference in all {
        let failed = |missing| Failed { reference: reference.clone(), missing };
        let pulled = client.pull(&promise.repository, reference).map_err(failed)?;
        if *reference == promise.tag && pulled.digest != promise.digest {
            let answer = format!("it holds {} instead of {}", pulled.digest, promise.digest);
            return Err(failed(Missing { kind: "tag", reference: reference.clone(), answer }));
        }
    }
    Ok(())
}
