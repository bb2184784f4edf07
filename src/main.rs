//! The `janitor` command: reads what was asked, does it, answers with an exit code.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use indicatif::MultiProgress;
use registry_janitor::cli::OutputFormat;
use registry_janitor::config::{Asked, CheckConfig, Config};
use registry_janitor::daemon::{self, Heartbeat};
use registry_janitor::fsck;
use registry_janitor::logging;
use registry_janitor::model::{Escaped, Mend};
use registry_janitor::progress;
use registry_janitor::report::failure::Failure;
use registry_janitor::report::{SweepReport, log, table};
use registry_janitor::stop::Stop;
use registry_janitor::sweep::{SweepError, sweep};
use registry_janitor::terminal::{self, Escape, Stdout};
use registry_janitor::undo::{self, Trash, UndoError};
use registry_janitor::usage::{self, UsageError};

/// Writes a report in the form that was asked for.
macro_rules! write_as {
    ($format:expr, $report:expr, $out:expr) => {
        match $format {
            OutputFormat::Text => $report.write_text($out),
            OutputFormat::Json => $report.write_json($out),
            OutputFormat::None => Ok(()),
        }
        .map(|()| $report.exit_code)
    };
}

fn main() -> ExitCode {
    match Config::from_process() {
        Ok(Asked::Health(heartbeat)) => match Heartbeat::new(&heartbeat).check() {
            Ok(doing) => {
                answer(&format!("{doing}\n"), OutputFormat::Text).unwrap_or_else(|error| complain(&error, 1))
            }
            Err(error) => complain(&error.into(), 1),
        },
        Ok(Asked::Check(config)) => check(&config).unwrap_or_else(|error| complain(&error, 1)),
        Ok(Asked::Usage(config, query)) => answer_with(&config, |stop, bars, out| {
            let report = progress::shown(stop, bars, || usage::of(&config, &query, stop))?;
            let told = match config.output {
                OutputFormat::Text => report.write_text(terminal::columns(), out),
                OutputFormat::Json => report.write_json(out),
                OutputFormat::None => Ok(()),
            };
            Ok(told.map(|()| report.exit_code))
        }),
        Ok(Asked::Trash(config)) => answer_with(&config, |stop, _, out| {
            let report = undo::list(&config, stop)?;
            Ok(write_as!(config.output, report, out))
        }),
        Ok(Asked::Restore(config, wanted)) => answer_with(&config, |stop, _, out| {
            let report = undo::restore(&config, &wanted, stop)?;
            Ok(write_as!(config.output, report, out))
        }),
        Ok(Asked::EmptyTrash(config, yes)) => {
            answer_with(&config, |stop, _, out| empty_trash(&config, yes, stop, out))
        }
        Ok(Asked::Sweep(config)) => run(&config).unwrap_or_else(|error| complain(&error, 1)),
        Err(answer) if answer.use_stderr() => {
            // Where stderr is closed there is nobody left to tell.
            answer.print().ok();
            ExitCode::from(2)
        }
        Err(answer) => no_matter_who_reads(answer.print()).unwrap_or_else(|error| complain(&error, 1)),
    }
}

/// Why something could not be done, and the exit code that says the same.
struct Failed(u8, anyhow::Error);

impl From<UndoError> for Failed {
    fn from(error: UndoError) -> Self {
        Self(error.exit_code(), error.into())
    }
}

impl From<UsageError> for Failed {
    fn from(error: UsageError) -> Self {
        Self(error.exit_code(), error.into())
    }
}

/// Does what was asked for on the spot, and prints what it has to say.
fn answer_with(
    config: &Config,
    act: impl FnOnce(&Stop, &MultiProgress, &mut Stdout) -> Result<io::Result<u8>, Failed>,
) -> ExitCode {
    let bars = logging::start(config.log_level, config.log_format);
    raise_open_file_limit();
    let stop = Arc::new(Stop::default());
    if let Err(error) = daemon::listen(Arc::clone(&stop)).context("cannot listen for signals") {
        return complain(&error, 1);
    }
    let mut stdout = terminal::stdout(config.output);
    let told = match act(&stop, &bars, &mut stdout) {
        Ok(Ok(code)) => no_matter_who_reads(stdout.flush()).map(|_| code.into()),
        Ok(Err(error)) => no_matter_who_reads(Err(error)),
        Err(Failed(code, error)) => {
            let told = print_failure(code, &error, config.output);
            complain(&error, code);
            told.map(|()| code.into())
        }
    };
    told.unwrap_or_else(|error| complain(&error, 1))
}

/// Throws the removed tags away, once somebody has said so.
fn empty_trash(config: &Config, yes: bool, stop: &Stop, out: &mut Stdout) -> Result<io::Result<u8>, Failed> {
    let can_ask = io::stdin().is_terminal() && terminal::is_stderr_terminal();
    if !yes && !can_ask && !config.dry_run {
        return Err(UndoError::NobodyToAsk.into());
    }
    let trash = Trash::open(config, stop)?;
    if !yes && !config.dry_run && trash.tags() > 0 && !confirms(&trash) {
        return Err(UndoError::Declined.into());
    }
    let report = trash.empty(config, stop)?;
    Ok(write_as!(config.output, report, out))
}

fn confirms(trash: &Trash) -> bool {
    let question =
        format!("Removed tags that can be brought back: {}. Throw them away for good? [y/N] ", trash.tags());
    let mut said = String::new();
    let asked = terminal::stderr(Escape::Text)
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().read_line(&mut said));
    asked.is_ok() && matches!(said.trim(), "y" | "Y" | "yes")
}

fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let bars = logging::start(config.log_level, config.log_format);
    raise_open_file_limit();
    let stop = Arc::new(Stop::default());
    daemon::listen(Arc::clone(&stop)).context("cannot listen for signals")?;
    if !config.run_once {
        let tell = |swept: Result<&SweepReport, &SweepError>| {
            let told = match swept {
                Ok(report) => print(report, config.output),
                Err(error) => print_failure(error.exit_code(), error, config.output),
            };
            if let Err(error) = told {
                tracing::error!("cannot write the report: {}", one_line(&error));
            }
        };
        let ended = progress::shown(&stop, &bars, || daemon::run(config, &stop, tell));
        return Ok(ended.map_or_else(|error| SweepError::from(error).exit_code(), |()| 0).into());
    }
    let report = match progress::shown(&stop, &bars, || sweep(config, &stop)) {
        Ok(report) => report,
        Err(error) => {
            let code = error.exit_code();
            let told = print_failure(code, &error, config.output);
            complain(&error.into(), code);
            return told.map(|()| code.into());
        }
    };
    if config.output != OutputFormat::Text {
        log::log(&report);
    }
    print(&report, config.output)?;
    Ok(report.exit_code.into())
}

fn check(config: &CheckConfig) -> anyhow::Result<ExitCode> {
    logging::start(config.log_level, config.log_format);
    raise_open_file_limit();
    let stop = Arc::new(Stop::default());
    daemon::listen(Arc::clone(&stop)).context("cannot listen for signals")?;
    let report = match fsck::check(config, &stop, |mends| may_mend(mends, config.yes, config.dry_run)) {
        Ok(report) => report,
        Err(error) => {
            let code = error.exit_code();
            let told = print_failure(code, &error, config.output);
            complain(&error.into(), code);
            return told.map(|()| code.into());
        }
    };
    let mut stdout = terminal::stdout(config.output);
    let written = match config.output {
        OutputFormat::Text => report.write_text(&mut stdout),
        OutputFormat::Json => report.write_json(&mut stdout),
        OutputFormat::None => Ok(()),
    };
    no_matter_who_reads(written.and_then(|()| stdout.flush()))?;
    Ok(report.exit_code.into())
}

/// Lists what would be mended, and asks, where there is somebody to ask.
fn may_mend(mends: &[Mend], yes: bool, dry_run: bool) -> bool {
    let mut stderr = terminal::stderr(Escape::Text);
    for mend in mends {
        writeln!(stderr, "to mend: {}", Escaped(mend)).ok();
    }
    if dry_run {
        writeln!(stderr, "nothing was changed (dry run)").ok();
        return false;
    }
    if yes {
        return true;
    }
    if !(io::stdin().is_terminal() && terminal::is_stderr_terminal()) {
        writeln!(stderr, "nothing was changed; --yes mends without asking").ok();
        return false;
    }
    write!(stderr, "mend {} of these? [y/N] ", mends.len()).ok();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok()
        && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// A script that asked for a document gets one, also of work that could not be done.
fn print_failure(code: u8, error: &impl Display, format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Json => {
            answer(&(Failure::new(code, &error.to_string()).to_json()? + "\n"), format).map(drop)
        }
        OutputFormat::Text | OutputFormat::None => Ok(()),
    }
}

fn print(report: &SweepReport, format: OutputFormat) -> anyhow::Result<()> {
    let mut stdout = terminal::stdout(format);
    let written = match format {
        OutputFormat::Text => table::write(report, &mut stdout),
        OutputFormat::Json => report.write_json(&mut stdout),
        OutputFormat::None => return Ok(()),
    };
    no_matter_who_reads(written.and_then(|()| stdout.flush())).map(drop)
}

/// Writes asked-for data to stdout.
fn answer(text: &str, format: OutputFormat) -> anyhow::Result<ExitCode> {
    let mut stdout = terminal::stdout(format);
    no_matter_who_reads(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// A reader that has seen enough is no failure.
fn no_matter_who_reads(written: io::Result<()>) -> anyhow::Result<ExitCode> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // Where stderr is closed there is nobody left to tell.
    writeln!(terminal::stderr(Escape::Text), "error: {}", one_line(error)).ok();
    code.into()
}

/// An error with its causes, but for those that a message before them tells already.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Each file operation under way may hold a few directories open.
fn raise_open_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is not allowed, the limit that is there has to do.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use registry_janitor::daemon::HealthError;
    use registry_janitor::store::LockError;

    use super::*;

    fn full() -> io::Error {
        io::Error::other("the disk is full")
    }

    #[test]
    fn a_cause_is_told_once() {
        let lock = LockError::Io { path: "janitor/lock".into(), source: full() };
        let told = |error: anyhow::Error| one_line(&error);
        let expected = "cannot lock the store at janitor/lock: the disk is full";
        assert_eq!(told(SweepError::from(lock).into()), expected);
        let clock = told(SweepError::Clock(full()).into());
        assert_eq!(clock.matches("the disk is full").count(), 1, "{clock}");
        let health = told(HealthError::Missing { path: "sign".into(), source: full() }.into());
        assert_eq!(health.matches("the disk is full").count(), 1, "{health}");
        let context = anyhow::Error::from(full()).context("cannot write to stdout");
        assert_eq!(told(context), "cannot write to stdout: the disk is full");
    }
}
