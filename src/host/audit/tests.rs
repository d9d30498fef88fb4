use super::*;

struct Rig {
    _dir: tempfile::TempDir,
    log: AuditLog,
}

impl Rig {
    fn with(commands: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::of(&Paths::below(dir.path()), "langfuse");
        let rig = Self { _dir: dir, log };
        for command in commands {
            rig.append(command);
        }
        rig
    }

    fn append(&self, command: &str) {
        let entry = NewEntry {
            command: command.to_owned(),
            result: "done".to_owned(),
            ..NewEntry::default()
        };
        append(&self.log, entry).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    fn problem_after(&self, change: impl Fn(&str) -> String) -> Option<Problem> {
        fs::write(self.log.path(), change(&self.text())).unwrap();
        self.log.read().unwrap().problem
    }
}

const THREE: &[&str] = &["install", "upgrade", "doctor"];

#[test]
fn a_whole_log_has_no_problem() {
    let chain = Rig::with(THREE).log.read().unwrap();
    assert_eq!((chain.problem, chain.lines), (None, 3));
    assert_eq!(chain.entries[1].command, "upgrade");
    let none = Rig::with(&[]).log.read().unwrap();
    assert_eq!((none.problem, none.lines), (None, 0));
}

#[test]
fn a_line_that_is_changed_or_removed_shows() {
    let changed = Rig::with(THREE).problem_after(|text| text.replace("upgrade", "nothing"));
    assert_eq!(changed, Some(Problem::Broken { line: 3 }));
    let removed = Rig::with(THREE).problem_after(|text| {
        let kept: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("upgrade"))
            .collect();
        kept.join("\n") + "\n"
    });
    assert_eq!(removed, Some(Problem::Broken { line: 2 }));
    let garbled = Rig::with(THREE).problem_after(|text| text.replace("\"upgrade", "upgrade"));
    assert_eq!(garbled, Some(Problem::Broken { line: 3 }));
}

#[test]
fn a_log_that_was_cut_at_its_end_shows() {
    let shorter = |text: &str| text.lines().next().unwrap().to_owned() + "\n";
    let written = 3;
    assert_eq!(
        Rig::with(THREE).problem_after(shorter),
        Some(Problem::Cut { lines: 1, written })
    );
    assert_eq!(
        Rig::with(THREE).problem_after(|_| String::new()),
        Some(Problem::Cut { lines: 0, written })
    );
    // Entries that are made up behind the cut do not hide it.
    let rig = Rig::with(THREE);
    let head = fs::read(&rig.log.head).unwrap();
    rig.problem_after(shorter);
    rig.append("a");
    rig.append("b");
    fs::write(&rig.log.head, head).unwrap();
    let problem = rig.log.read().unwrap().problem;
    assert_eq!(problem, Some(Problem::OtherEnd { line: 3 }));
}

#[test]
fn a_line_that_the_power_failure_tore_does_not_break_the_chain() {
    let rig = Rig::with(THREE);
    let tear = |text: &str| format!("{text}{{\"at\":\"2026-");
    assert_eq!(rig.problem_after(tear), None);
    assert_eq!(rig.log.read().unwrap().torn, [4]);
    rig.append("install");
    rig.append("doctor");
    let chain = rig.log.read().unwrap();
    assert_eq!((chain.problem, chain.torn, chain.lines), (None, vec![4], 6));
    // Twice in a row.
    rig.problem_after(tear);
    let nothing_new = |text: &str| format!("{text}\n{{\"at\"");
    rig.problem_after(nothing_new);
    rig.append("install");
    let chain = rig.log.read().unwrap();
    assert_eq!((chain.problem, chain.torn), (None, vec![4, 7, 8]));
    // What is before it is held all the same.
    let removed = rig.problem_after(|text| {
        let kept: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("upgrade"))
            .collect();
        kept.join("\n") + "\n"
    });
    assert_eq!(removed, Some(Problem::Broken { line: 2 }));
}

#[test]
fn a_log_of_an_older_lfctl_is_walked_too() {
    let rig = Rig::with(THREE);
    fs::remove_file(&rig.log.head).unwrap();
    assert_eq!(rig.log.read().unwrap().problem, None);
}
