//! How a running step looks in one line: what it does, how far it is, and how
//! long the rest will take.

use std::time::Duration;

/// Columns of the longest bar.
const LONGEST_BAR: usize = 24;
/// A shorter bar shows nothing.
const SHORTEST_BAR: usize = 6;
/// A forecast made earlier than this is a guess.
const FORECAST_AFTER: Duration = Duration::from_secs(3);

/// A step at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    pub(super) label: &'a str,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    pub(super) in_bytes: bool,
    pub(super) elapsed: Duration,
}

impl Progress<'_> {
    /// One line of at most `columns` columns, with a bar where there is room.
    pub(super) fn line(&self, columns: usize) -> String {
        let rest = self.rest();
        let room = columns.saturating_sub(2 + rest.chars().count() + 1);
        let label = cut(self.label, room);
        let bar_room = room.saturating_sub(label.chars().count() + 3);
        let bar = match self.total {
            Some(total) if bar_room >= SHORTEST_BAR => {
                format!(" {}", bar(self.done, total, bar_room.min(LONGEST_BAR)))
            }
            _ => String::new(),
        };
        cut(&format!("  {label}{bar} {rest}"), columns)
    }

    /// The same for a log, without a bar and of any length.
    pub(super) fn log_line(&self) -> String {
        format!("  … {}: {}", self.label, self.rest())
    }

    fn rest(&self) -> String {
        let Some(total) = self.total else {
            return duration(self.elapsed);
        };
        let amounts = if self.in_bytes {
            bytes_of(self.done, total)
        } else {
            format!("{} of {total}", self.done)
        };
        match self.left(total) {
            Some(left) => format!("{amounts}, {} left", duration(left)),
            None => amounts,
        }
    }

    fn left(&self, total: u64) -> Option<Duration> {
        if self.done == 0 || self.done >= total || self.elapsed < FORECAST_AFTER {
            return None;
        }
        let to_do = u128::from(total - self.done);
        let millis = self.elapsed.as_millis() * to_do / u128::from(self.done);
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

fn bar(done: u64, total: u64, columns: usize) -> String {
    // Nothing to do is done.
    let (done, total) = if total == 0 { (1, 1) } else { (done, total) };
    let share = u128::from(done.min(total)) * columns as u128 / u128::from(total);
    let filled = usize::try_from(share).unwrap_or(columns);
    let (head, filled) = match filled {
        0 => ("", 0),
        filled if filled < columns => (">", filled - 1),
        filled => ("", filled),
    };
    let drawn = format!("{}{head}", "=".repeat(filled));
    format!("[{drawn:columns$}]")
}

/// Both in the unit that suits the total, such as `410 of 840 MiB`.
fn bytes_of(done: u64, total: u64) -> String {
    let (unit, shift) = match total {
        0..0x400 => return format!("{done} of {total} B"),
        0x400..0x10_0000 => ("KiB", 10),
        0x10_0000..0x4000_0000 => ("MiB", 20),
        _ => {
            let gib = |bytes: u64| {
                let tenths = (u128::from(bytes) * 10) >> 30;
                format!("{}.{}", tenths / 10, tenths % 10)
            };
            return format!("{} of {} GiB", gib(done), gib(total));
        }
    };
    format!("{} of {} {unit}", done >> shift, total >> shift)
}

/// Such as `4 s`, `2 min` or `1 h 5 min`.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds @ 90..5400 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The beginning of `text`, in at most `columns` columns.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(columns.saturating_sub(1)).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(columns: usize) -> String {
        Progress {
            label: "load 7 images",
            done: 410 << 20,
            total: Some(840 << 20),
            in_bytes: true,
            elapsed: Duration::from_secs(100),
        }
        .line(columns)
    }

    #[test]
    fn a_line_tells_how_far_it_is_and_how_long_the_rest_takes() {
        assert_eq!(
            load(59),
            "  load 7 images [=====>        ] 410 of 840 MiB, 2 min left"
        );
        assert_eq!(
            load(79),
            "  load 7 images [==========>             ] 410 of 840 MiB, 2 min left"
        );
        assert_eq!(load(42), "  load 7 images 410 of 840 MiB, 2 min left");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        for label in ["a", "load 7 images", &"a label of many words ".repeat(6)] {
            for total in [None, Some(0), Some(999), Some(3 << 30), Some(u64::MAX)] {
                for done in [0, 500, 2 << 30] {
                    for columns in [1, 10, 40, 59, 79, 199] {
                        let progress = Progress {
                            label,
                            done,
                            total,
                            in_bytes: true,
                            elapsed: Duration::from_secs(7000),
                        };
                        let line = progress.line(columns);
                        assert!(line.chars().count() <= columns, "{columns}: {line}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_counted_shows_its_time() {
        let progress = Progress {
            label: "migrate the databases",
            done: 0,
            total: None,
            in_bytes: false,
            elapsed: Duration::from_secs(3725),
        };
        assert_eq!(progress.line(59), "  migrate the databases 62 min");
        assert_eq!(progress.log_line(), "  … migrate the databases: 62 min");
    }

    #[test]
    fn a_forecast_waits_until_it_means_something() {
        let early = Progress {
            label: "a",
            done: 1,
            total: Some(10),
            in_bytes: false,
            elapsed: Duration::from_secs(1),
        };
        assert_eq!(early.log_line(), "  … a: 1 of 10");
    }
}
