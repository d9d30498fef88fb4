//! Breaks lines for a terminal.

use console::measure_text_width;

/// Breaks each line of `text` between words where it is longer than
/// `columns`, and begins what follows with `indent` blanks. A command in
/// backticks stays in one piece, so that it can be copied.
pub(super) fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| wrap_line(line, columns, indent))
        .collect();
    lines.join("\n")
}

fn wrap_line(line: &str, columns: usize, indent: usize) -> String {
    if measure_text_width(line) <= columns || columns <= indent {
        return line.to_owned();
    }
    let mut wrapped = String::new();
    let mut width = 0;
    // Blanks at the start and between columns are part of the layout.
    for piece in pieces(line) {
        let length = measure_text_width(piece.trim_end());
        if width > indent && width + length > columns {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            width = indent;
        }
        wrapped.push_str(piece);
        width += measure_text_width(piece);
    }
    wrapped.truncate(wrapped.trim_end().len());
    wrapped
}

/// Words with the blanks behind them; what stands in backticks is one word.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut blank) = (0, false, true);
    for (at, letter) in line.char_indices() {
        quoted ^= letter == '`';
        if letter != ' ' && blank && at > start && !line[start..at].trim().is_empty() {
            pieces.push(&line[start..at]);
            start = at;
        }
        blank = letter == ' ' && !quoted;
    }
    pieces.push(&line[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_go_on_further_in() {
        assert_eq!(
            wrap("  BLOCK  the disk is full and so is this line", 24, 9),
            "  BLOCK  the disk is\n         full and so is\n         this line"
        );
        assert_eq!(wrap("short", 24, 9), "short");
        assert_eq!(wrap("one\ntwo three four", 9, 2), "one\ntwo three\n  four");
    }

    #[test]
    fn a_command_stays_in_one_piece() {
        assert_eq!(
            wrap("hint: look with `lfctl doctor --only host`", 30, 6),
            "hint: look with\n      `lfctl doctor --only host`"
        );
    }

    #[test]
    fn colours_have_no_width() {
        let coloured = console::style("four").red().force_styling(true);
        let text = format!("one {coloured} five");
        assert_eq!(wrap(&text, 13, 2), text);
    }

    #[test]
    fn nothing_is_lost_in_a_terminal_that_is_too_narrow() {
        assert_eq!(wrap("a word", 2, 7), "a word");
        let long = "x".repeat(40);
        assert_eq!(wrap(&long, 10, 2), long);
    }
}
