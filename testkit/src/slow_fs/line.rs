//! The line that answers wait in until their time has come; it counts what passes.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::requests::{RequestKind, Requests};

type Answer = Box<dyn FnOnce() + Send>;

/// Sends each answer when its time has come, from a thread of its own.
pub(super) struct Line {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    delay_nanos: AtomicU64,
    counts: [AtomicU64; RequestKind::ALL.len()],
    under_way: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Due>,
    number: u64,
    is_closed: bool,
}

struct Due {
    at: Instant,
    number: u64,
    answer: Answer,
}

/// A request that has come in. The time of its answer runs already.
pub(super) struct Arrived {
    shared: Arc<Shared>,
    at: Instant,
}

impl Line {
    pub(super) fn new(delay: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let sender = thread::Builder::new().name("slow-fs".into()).spawn(move || of_thread.send())?;
        let line = Self { shared, sender: Some(sender) };
        line.set_delay(delay);
        Ok(line)
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.shared.delay_nanos.store(nanos, Ordering::Relaxed);
    }

    /// Counts a request.
    pub(super) fn arrived(&self, kind: RequestKind) -> Arrived {
        self.shared.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
        let under_way = self.shared.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.most.fetch_max(under_way, Ordering::Relaxed);
        Arrived { shared: Arc::clone(&self.shared), at: Instant::now() }
    }

    /// Counts a request that nobody waits for.
    pub(super) fn passed(&self, kind: RequestKind) {
        self.shared.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> Requests {
        Requests(std::array::from_fn(|kind| self.shared.counts[kind].load(Ordering::Relaxed)))
    }

    pub(super) fn begin_most_anew(&self) {
        self.shared.most.store(0, Ordering::Relaxed);
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_one();
        if let Some(sender) = self.sender.take() {
            // It has no panic to hand on that anybody could do something about.
            drop(sender.join());
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

impl Arrived {
    /// Has this answer sent when its time has come.
    pub(super) fn answer(self, answer: impl FnOnce() + Send + 'static) {
        let delay = Duration::from_nanos(self.shared.delay_nanos.load(Ordering::Relaxed));
        let of_answer = Arc::clone(&self.shared);
        let answer: Answer = Box::new(move || {
            // Before it is sent: the caller may look at the counts right after.
            of_answer.under_way.fetch_sub(1, Ordering::Relaxed);
            answer();
        });
        if delay.is_zero() {
            return answer();
        }
        let at = self.at + delay;
        let is_next = {
            let mut queue = self.shared.queue();
            queue.number += 1;
            let number = queue.number;
            let is_next = queue.due.peek().is_none_or(|next| at < next.at);
            queue.due.push(Due { at, number, answer });
            is_next
        };
        if is_next {
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self) {
        // The kernel may round a sleep up by 50 microseconds otherwise. Without this, answers are only later.
        rustix::thread::set_current_timer_slack(NonZero::new(1)).ok();
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            let is_closed = queue.is_closed;
            match queue.due.peek().map(|next| next.at.saturating_duration_since(now)) {
                Some(wait) if wait.is_zero() || is_closed => {
                    if let Some(due) = queue.due.pop() {
                        drop(queue);
                        (due.answer)();
                        queue = self.queue();
                    }
                }
                Some(wait) => {
                    let waited = self.changed.wait_timeout(queue, wait);
                    queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None if is_closed => return,
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The heap gives the greatest first, and that is to be the earliest.
    fn cmp(&self, other: &Self) -> Order {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
