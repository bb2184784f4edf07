//! Waiting for child processes, and signalling them by their id.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A signal that asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGTERM, as `docker stop` sends it.
    Term,
    /// SIGINT, as Ctrl-C sends it.
    Int,
    /// SIGKILL, after which nothing is tidied up.
    Kill,
}

/// Sends a signal to a child that has not been waited for, so that its id is still its own.
pub(crate) fn signal(child: &Child, interrupt: Interrupt) {
    let signal = match interrupt {
        Interrupt::Term => Signal::TERM,
        Interrupt::Int => Signal::INT,
        Interrupt::Kill => Signal::KILL,
    };
    let raw = i32::try_from(child.id()).expect("a process id fits");
    let pid = Pid::from_raw(raw).expect("a child's id is not zero");
    kill_process(pid, signal).expect("a child can be signalled");
}

/// Waits until the child ends, or gives up after this long.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        let ended = child.try_wait().expect("a child can be waited for");
        if ended.is_some() || Instant::now() >= deadline {
            return ended;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Calls until it yields something, or gives up after this long.
pub(crate) fn poll<T>(patience: Duration, mut call: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let found = call();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a child now; used where a test is over.
pub(crate) fn end(child: &mut Child) {
    // Fails only when the child has ended already.
    drop(child.kill());
    drop(child.wait());
}

/// Reads a pipe to its end on a thread of its own, so that the child never blocks on it.
#[derive(Debug)]
pub(crate) struct Drain {
    text: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Drain {
    pub(crate) fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let thread = thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
            }
        });
        Self { text, thread }
    }

    /// What has come so far.
    pub(crate) fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Everything, once every writer has closed the pipe; a process that outlived its parent and still holds
    /// the pipe is not waited for.
    pub(crate) fn all(self, patience: Duration) -> String {
        poll(patience, || self.thread.is_finished().then_some(()));
        self.so_far()
    }
}

/// Whether a process with this id is there and has not ended.
pub fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .ok()
        .and_then(|stat| {
            let (_, after_name) = stat.rsplit_once(')')?;
            after_name.trim_start().chars().next()
        })
        .is_some_and(|state| state != 'Z')
}
