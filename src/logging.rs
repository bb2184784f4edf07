//! The log on standard error, beside whatever bars are drawn there.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

use crate::cli::{LogFormat, LogLevel};
use crate::model::Escaped;
use crate::terminal::{self, Escape};

/// Starts the log, which leaves room for bars on the same terminal. Whatever a message quotes, it stays one line and
/// acts on no terminal.
pub fn start(level: LogLevel, format: LogFormat) -> MultiProgress {
    let bars = MultiProgress::new();
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let logging = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer({
            let bars = bars.clone();
            move || BesideBars(bars.clone(), format)
        })
        .with_ansi(terminal::is_stderr_terminal())
        .with_target(false);
    match format {
        LogFormat::Text => {
            // The level may have a colour, so what is written as a whole must not be escaped.
            let fields = debug_fn(|out, field, value| match field.name() {
                "message" => write!(out, "{}", Escaped(format_args!("{value:?}"))),
                name => write!(out, "{name}={}", Escaped(format_args!("{value:?}"))),
            });
            logging.fmt_fields(fields.delimited(" ")).init();
        }
        LogFormat::Json => logging.json().flatten_event(true).init(),
    }
    bars
}

/// Standard error, with the bars out of the way.
struct BesideBars(MultiProgress, LogFormat);

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| match self.1 {
            LogFormat::Text => terminal::raw_stderr().write(bytes),
            // The event comes in one piece.
            LogFormat::Json => terminal::stderr(Escape::Json).write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        terminal::raw_stderr().flush()
    }
}
