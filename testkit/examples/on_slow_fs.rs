//! Runs a command on a slow mount of a directory: `on_slow_fs <directory> <mount>
//! <delay in microseconds> <remembers for milliseconds> <command...>`.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use janitor_testkit::{SlowFs, SlowFsOptions};

#[expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool for people who read its source"
)]
fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [disk, at, delay, remembers, program, rest @ ..] = arguments.as_slice() else {
        println!(
            "on_slow_fs <directory> <mount> <delay in microseconds> <remembers for milliseconds> <command...>"
        );
        return;
    };
    let delay = Duration::from_micros(delay.parse().expect("a number of microseconds"));
    let remembers = Duration::from_millis(remembers.parse().expect("a number of milliseconds"));
    let options = SlowFsOptions { delay, remembers };
    let slow = SlowFs::mount(Path::new(disk), Path::new(at), options).expect("FUSE");
    let start = Instant::now();
    let status = Command::new(program).args(rest).status().expect("the command starts");
    let took = start.elapsed();
    println!("{status}, {took:.3?}, at most {} at once: {}", slow.most_at_once(), slow.requests());
    println!("{} requests", slow.requests().total());
}
