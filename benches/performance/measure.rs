//! Runs commands in turn, and measures the time and the memory of each.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Processor time of the benchmark meanwhile: of the file system that it serves.
    pub(crate) served: Duration,
    pub(crate) peak_bytes: u64,
    /// The kernel counts the parent's peak until the child begins as the child's, so a smaller one cannot be told.
    pub(crate) floor_bytes: u64,
}

/// Several runs of one command.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) runs: Vec<Run>,
}

impl Measured {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), runs: Vec::new() }
    }

    /// Wall time in milliseconds: median, least, most.
    pub(crate) fn wall(&self) -> (f64, f64, f64) {
        spread(self.runs.iter().map(|run| run.wall.as_secs_f64() * 1e3))
    }

    /// Median of the processor time in milliseconds.
    pub(crate) fn cpu(&self) -> f64 {
        spread(self.runs.iter().map(|run| run.cpu.as_secs_f64() * 1e3)).0
    }

    /// Median of the processor time that serving took, in milliseconds.
    pub(crate) fn served(&self) -> f64 {
        spread(self.runs.iter().map(|run| run.served.as_secs_f64() * 1e3)).0
    }

    /// The largest peak of memory, and the least that could have been told.
    pub(crate) fn peak_bytes(&self) -> (u64, u64) {
        let peak = self.runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0);
        (peak, self.runs.iter().map(|run| run.floor_bytes).max().unwrap_or(0))
    }
}

/// Median, least and most.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    };
    (median, values[0], values[values.len() - 1])
}

/// Runs a command to its end; a failure ends the benchmark. Its output goes to a file.
pub(crate) fn run(command: &mut Command, output: &Path) -> Run {
    let log = output.with_extension("log");
    command
        .stdin(Stdio::null())
        .stdout(File::create(output).expect("a file for the output"))
        .stderr(File::create(&log).expect("a file for the log"));
    forget_own_peak();
    let floor_bytes = own_peak_bytes();
    let served_before = own_cpu();
    let start = Instant::now();
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let used = child.wait4().expect("a child can be waited for");
    let wall = start.elapsed();
    assert!(
        used.status.success(),
        "{} ended with {}; {}",
        command.get_program().display(),
        used.status,
        std::fs::read_to_string(log).unwrap_or_default()
    );
    let cpu = used.rusage.utime + used.rusage.stime;
    let served = own_cpu().saturating_sub(served_before);
    Run { wall, cpu, served, peak_bytes: used.rusage.maxrss, floor_bytes }
}

/// A command with a name, made anew for each run.
pub(crate) type Candidate<'a> = (&'a str, &'a dyn Fn() -> Command);

/// Runs each command once to warm up, then all of them in turn, round after round. `before` is called before
/// every run.
pub(crate) fn paired(
    candidates: &[Candidate<'_>],
    rounds: usize,
    output: &Path,
    before: &dyn Fn(),
) -> Vec<Measured> {
    let mut measured: Vec<Measured> = candidates.iter().map(|(name, _)| Measured::new(name)).collect();
    for round in 0..=rounds {
        for ((_, command), measured) in candidates.iter().zip(&mut measured) {
            before();
            let run = run(&mut command(), output);
            if round > 0 {
                measured.runs.push(run);
            }
        }
    }
    measured
}

/// Writing a store takes more memory than some of what is measured. A kernel that cannot forget it (proc(5), `clear_refs`)
/// has a larger floor.
fn forget_own_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// What this process has had of the processors: the 14th and the 15th field of `proc_pid_stat(5)`.
fn own_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn own_peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
