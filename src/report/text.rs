//! Text of others, made safe to show.
//!
//! Names of files on a medium, and what registries, databases and containers
//! say, may hold anything.

use std::borrow::Cow;

/// The text as a terminal may show it: without escape sequences, and with a
/// mark in place of each control character, and of those that cannot be seen
/// or that turn the order of the others around.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let text = console::strip_ansi_codes(text);
    Cow::Owned(text.replace(is_hidden, "\u{fffd}"))
}

/// Control, zero-width and bidirectional characters.
fn is_hidden(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_text_around_is_not_shown() {
        let plain = "two lines\n\tof plain text: é, 漢字, שלום";
        assert!(matches!(visible(plain), Cow::Borrowed(same) if same == plain));
        for (hostile, shown) in [
            ("a\u{1b}[2Jb\u{1b}[31mred\u{1b}[0m", "abred"),
            ("bundle\u{202e}rat.tar", "bundle\u{fffd}rat.tar"),
            (
                "\u{2066}a\u{2069}\u{200b}\u{feff}",
                "\u{fffd}a\u{fffd}\u{fffd}\u{fffd}",
            ),
            (
                "over\rwritten\u{8}\u{9b}31m\0",
                "over\u{fffd}written\u{fffd}\u{fffd}",
            ),
        ] {
            let found = visible(hostile);
            assert!(!found.contains(is_hidden), "{found:?}");
            assert_eq!(found, shown);
        }
    }
}
