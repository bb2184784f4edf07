//! Standard output and standard error: the one place where text leaves the process, and where nothing in it may act on
//! a terminal.
//!
//! Names and contents of the store are anybody's who may push to it. Whatever is written here has its control
//! characters, marks of direction and invisible characters escaped, except for the ends of lines.

#![expect(clippy::disallowed_methods, reason = "the one place that writes to the standard streams")]

use std::io::{self, BufWriter, IsTerminal as _, Stderr, StdoutLock, Write};

use crate::cli::OutputFormat;
use crate::model::is_special;

/// How special characters are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As Rust does: `\u{1b}`.
    Text,
    /// As JSON does, whose texts are the only place where such characters can be: `\u001b`.
    Json,
}

impl From<OutputFormat> for Escape {
    fn from(format: OutputFormat) -> Self {
        if format == OutputFormat::Json { Self::Json } else { Self::Text }
    }
}

/// Standard output.
pub type Stdout = Harmless<BufWriter<StdoutLock<'static>>>;

/// Standard output, for a report in this format.
pub fn stdout(format: OutputFormat) -> Stdout {
    Harmless::new(BufWriter::new(io::stdout().lock()), format.into())
}

/// Standard error.
pub fn stderr(escape: Escape) -> Harmless<Stderr> {
    Harmless::new(io::stderr(), escape)
}

/// Standard error for what is harmless already, and has colours.
pub(crate) fn raw_stderr() -> Stderr {
    io::stderr()
}

/// Whether standard error is a terminal.
pub fn is_stderr_terminal() -> bool {
    io::stderr().is_terminal()
}

/// How wide the terminal is that standard output is, if it is one.
pub fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into())
}

/// A writer that escapes what would act on a terminal, except for ends of lines.
#[derive(Debug)]
pub struct Harmless<W> {
    inner: W,
    escape: Escape,
    /// The beginning of a character whose rest was not written yet.
    pending: Vec<u8>,
}

impl<W: Write> Harmless<W> {
    /// Escapes what is written to `inner`.
    pub const fn new(inner: W, escape: Escape) -> Self {
        Self { inner, escape, pending: Vec::new() }
    }

    fn write_text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(|letter| letter != '\n' && is_special(letter)) {
            let (plain, special) = rest.split_at(at);
            self.inner.write_all(plain.as_bytes())?;
            let mut chars = special.chars();
            if let Some(special) = chars.next() {
                match self.escape {
                    Escape::Text => write!(self.inner, "{}", special.escape_debug())?,
                    Escape::Json => {
                        for unit in special.encode_utf16(&mut [0; 2]) {
                            write!(self.inner, "\\u{unit:04x}")?;
                        }
                    }
                }
            }
            rest = chars.as_str();
        }
        self.inner.write_all(rest.as_bytes())
    }

    /// Writes all that is whole of some bytes; keeps what may be the beginning of a character.
    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return self.write_text(text),
                Err(error) => {
                    let (whole, others) = rest.split_at(error.valid_up_to());
                    self.write_text(std::str::from_utf8(whole).unwrap_or_default())?;
                    let Some(wrong) = error.error_len() else {
                        self.pending = others.to_vec();
                        return Ok(());
                    };
                    self.write_text("\u{fffd}")?;
                    rest = &others[wrong..];
                }
            }
        }
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.is_empty() {
            self.write_bytes(bytes)?;
        } else {
            let mut all = std::mem::take(&mut self.pending);
            all.extend_from_slice(bytes);
            self.write_bytes(&all)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(escape: Escape, parts: &[&[u8]]) -> String {
        let mut written = Harmless::new(Vec::new(), escape);
        for part in parts {
            written.write_all(part).unwrap();
        }
        String::from_utf8(written.inner).unwrap()
    }

    #[test]
    fn only_ends_of_lines_are_left() {
        let text = "a\n\u{1b}[31m\u{202e}\t\u{e0041}é\n";
        assert_eq!(written(Escape::Text, &[text.as_bytes()]), "a\n\\u{1b}[31m\\u{202e}\\t\\u{e0041}é\n");
        let json = serde_json::to_string(text).unwrap() + "\n";
        let shown = written(Escape::Json, &[json.as_bytes()]);
        assert_eq!(shown, "\"a\\n\\u001b[31m\\u202e\\t\\udb40\\udc41é\\n\"\n");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_up_nothing_acts_on_a_terminal(bytes: Vec<u8>, at: prop::sample::Index) {
            let at = at.index(bytes.len() + 1);
            let shown = written(Escape::Text, &[&bytes[..at], &bytes[at..]]);
            prop_assert!(!shown.contains(|it| it != '\n' && is_special(it)));
            prop_assert_eq!(&shown, &written(Escape::Text, &[&bytes]));
        }

        #[test]
        fn a_document_says_the_same_with_more_escapes(text: String, tail in "\\PC{0,20}") {
            let json = serde_json::to_string(&[&text, &tail]).unwrap();
            let shown = written(Escape::Json, &[json.as_bytes()]);
            prop_assert!(!shown.contains(is_special));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text, tail]);
        }
    }
}
