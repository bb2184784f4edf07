//! Text that somebody else wrote, such as names and contents of files in the store, as people may see it.
//!
//! Values hold such text as it is, and JSON has escapes of its own. Text becomes harmless where it is written: whatever
//! goes to a terminal or a log passes [`Escaped`] there (`terminal.rs`, `logging.rs`), so no caller can forget it. Only
//! a line break is not caught there, because reports have lines; so what prints such text within a line passes it
//! through [`Escaped`] itself ([`Problem`](super::Problem) and the findings of a check do).

use std::fmt::{self, Display, Write};

/// How much of a text is quoted in a message.
const EXCERPT_CHARS: usize = 200;
/// How long the text of a finding may be, whatever it is made of. A path is at most 4096 bytes long.
const FINDING_CHARS: usize = 4096;

/// Shows text without anything that acts on a terminal or ends a line: control characters, marks that change the
/// direction of writing, invisible characters.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_special) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            if let Some(special) = chars.next() {
                write!(self.0, "{}", special.escape_debug())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Whether a character is more than a mark on the screen: Rust's own escapes tell, which know what is printable.
/// Quotes and backslashes are harmless.
pub fn is_special(letter: char) -> bool {
    !matches!(letter, ' '..='~') && letter.escape_debug().len() > 1
}

/// The beginning of a text, with a count of what was cut off.
pub fn excerpt(text: impl Display) -> String {
    cut(text, EXCERPT_CHARS)
}

/// What a finding says, cut where it would be far longer than anybody reads.
pub fn finding_text(text: impl Display) -> String {
    cut(text, FINDING_CHARS)
}

fn cut(text: impl Display, at_most: usize) -> String {
    let mut cut = Cut { text: String::new(), left: at_most, more: 0 };
    // Writing to a string does not fail.
    write!(cut, "{text}").ok();
    if cut.more > 0 {
        write!(cut.text, "… ({} more characters)", cut.more).ok();
    }
    cut.text
}

struct Cut {
    text: String,
    left: usize,
    more: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut chars = text.chars();
        let count = chars.by_ref().take(self.left).count();
        let rest = chars.as_str();
        self.text.push_str(&text[..text.len() - rest.len()]);
        self.left -= count;
        self.more += rest.chars().count();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_on_a_terminal_or_ends_a_line_is_escaped_and_the_rest_is_not() {
        for (raw, shown) in [
            ("a/b:c \"d\" 'e' \\f … · █ é 漢", "a/b:c \"d\" 'e' \\f … · █ é 漢"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("a\nb\r\tc\0\u{7f}", r"a\nb\r\tc\0\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{202e}gpj", r"\u{202e}gpj"),
            (
                "\u{2066}\u{200f}\u{2028}\u{feff}\u{200b}\u{ad}",
                r"\u{2066}\u{200f}\u{2028}\u{feff}\u{200b}\u{ad}",
            ),
        ] {
            assert_eq!(Escaped(raw).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_much_is_missing() {
        let whole = "é".repeat(EXCERPT_CHARS);
        assert_eq!(excerpt(&whole), whole);
        assert_eq!(excerpt(format!("{whole}xyz")), format!("{whole}… (3 more characters)"));
        assert_eq!(finding_text("é".repeat(5000)), format!("{}… (904 more characters)", "é".repeat(4096)));
    }

    proptest! {
        #[test]
        fn no_text_has_an_effect_once_it_is_escaped(text in any::<String>(), tail in "\\PC{0,20}") {
            let text = text + &tail;
            let shown = Escaped(&text).to_string();
            prop_assert!(!shown.chars().any(|it| it.is_control() || is_special(it)));
            // Once is enough, and what needs no escape stays as it is.
            prop_assert_eq!(Escaped(&shown).to_string(), shown.clone());
            if !text.contains(is_special) {
                prop_assert_eq!(shown, text);
            }
        }

        #[test]
        fn an_excerpt_is_the_beginning_of_the_text(text in any::<String>(), at_most in 0..40_usize) {
            let shown = cut(&text, at_most);
            let begin: String = text.chars().take(at_most).collect();
            prop_assert!(shown.starts_with(&begin));
            prop_assert!(shown.chars().count() <= at_most + 40);
            prop_assert_eq!(shown == text, text.chars().count() <= at_most);
        }
    }
}
