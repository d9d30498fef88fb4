use std::io::Write as _;

use fs_err as fs;

use super::*;
use crate::oci::digest::Digest;

fn begin() -> Record {
    Record::RunBegin {
        command: "install".to_owned(),
        bundle: Some(Digest::of(b"bundle")),
        release: None,
        lfctl: "0.1.0".to_owned(),
        on_break: OnBreak::Resume,
    }
}

fn step(step: &str) -> Record {
    Record::StepBegin {
        step: step.to_owned(),
        what: serde_json::Value::Null,
    }
}

fn end(step: &str, outcome: StepOutcome) -> Record {
    Record::StepEnd {
        step: step.to_owned(),
        outcome,
    }
}

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::at(dir.path().join("state/journal.jsonl"));
    (dir, journal)
}

fn raw(journal: &Journal, bytes: &[u8]) {
    fs::create_dir_all(journal.path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&journal.path)
        .unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn names_the_step_at_which_a_run_broke_off() {
    let (_dir, journal) = journal();
    assert_eq!(journal.unfinished().unwrap(), None);
    journal.append("r", begin()).unwrap();
    journal.append("r", step("load")).unwrap();
    journal.append("r", end("load", StepOutcome::Done)).unwrap();
    journal.append("r", step("migrate")).unwrap();
    let run = journal.unfinished().unwrap().unwrap();
    assert_eq!(run.command, "install");
    assert_eq!(run.run, "r");
    assert_eq!(run.step.as_deref(), Some("migrate"));
}

#[test]
fn a_run_that_reached_its_goal_or_was_undone_leaves_nothing_open() {
    for outcome in [RunOutcome::Complete, RunOutcome::Undone] {
        let (_dir, journal) = journal();
        journal.append("r", begin()).unwrap();
        journal.append("r", Record::RunEnd { outcome }).unwrap();
        assert_eq!(journal.unfinished().unwrap(), None);
    }
}

#[test]
fn clearing_up_that_breaks_off_is_still_left_of_what_was_committed() {
    let (_dir, journal) = journal();
    let run_of = |command: &str, on_break| Record::RunBegin {
        command: command.to_owned(),
        bundle: None,
        release: None,
        lfctl: "0.1.0".to_owned(),
        on_break,
    };
    journal
        .append("r", run_of("upgrade", OnBreak::Undo))
        .unwrap();
    // The commit is on disk, the line that says so is not.
    journal.append("r", step(COMMIT)).unwrap();
    for _ in 0..2 {
        journal
            .append("s", run_of(RECOVER, OnBreak::Resume))
            .unwrap();
        journal.append("s", step("succeed:web")).unwrap();
        let run = journal.unfinished().unwrap().unwrap();
        assert_eq!((run.command.as_str(), run.committed), ("upgrade", true));
    }
    let outcome = RunOutcome::Complete;
    journal.append("s", Record::RunEnd { outcome }).unwrap();
    assert_eq!(journal.unfinished().unwrap(), None);
}

#[test]
fn what_is_left_to_undo_is_what_may_have_changed_something() {
    let (_dir, journal) = journal();
    journal.append("r", begin()).unwrap();
    for (id, outcome) in [
        ("a", Some(StepOutcome::Done)),
        ("b", Some(StepOutcome::AlreadyDone)),
        ("c", Some(StepOutcome::Failed)),
        ("d", None),
    ] {
        journal.append("r", step(id)).unwrap();
        if let Some(outcome) = outcome {
            journal.append("r", end(id, outcome)).unwrap();
        }
    }
    journal
        .append("r", Record::StepUndone { step: "d".into() })
        .unwrap();
    let run = journal.unfinished().unwrap().unwrap();
    let ids: Vec<_> = run.to_undo.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
}

#[test]
fn half_a_line_at_the_end_is_dropped_whatever_its_bytes() {
    for torn in [&br#"{"at":"2026-01-01T00:0"#[..], b"\xff\xfe", b"{"] {
        let (_dir, journal) = journal();
        journal.append("r", begin()).unwrap();
        raw(&journal, torn);
        assert_eq!(journal.entries().unwrap().len(), 1);
        journal.append("r", step("migrate")).unwrap();
        assert_eq!(journal.entries().unwrap().len(), 2);
        let run = journal.unfinished().unwrap().unwrap();
        assert_eq!(run.step.as_deref(), Some("migrate"));
    }
}

#[test]
fn a_damaged_line_in_the_middle_stops_the_reader() {
    for bytes in [
        &b"\xff\xfe\n"[..],
        b"{\"record\":\"unknown\",\"at\":\"2026-01-01T00:00:00Z\",\"schema\":2}\n",
        b"{\"schema\":2,\"run\":\"r\",\"at\":\"2026-01-01T00:00:00Z\",\"rec",
    ] {
        let (_dir, journal) = journal();
        journal.append("r", begin()).unwrap();
        raw(&journal, bytes);
        if !bytes.ends_with(b"\n") {
            raw(&journal, b"\n");
        }
        let error = journal.entries().unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged { line: 2, .. }),
            "{error}"
        );
    }
}

#[test]
fn a_line_of_a_newer_lfctl_is_told_from_a_damaged_one() {
    let (_dir, journal) = journal();
    raw(&journal, b"{\"schema\":3,\"anything\":1}\n");
    let error = journal.unfinished().unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has schema 3, this lfctl reads up to 2"),
        "{error}"
    );
}

#[test]
fn lines_of_the_first_schema_are_read_and_so_is_what_it_made_of_half_a_line() {
    let (_dir, journal) = journal();
    raw(
        &journal,
        br#"{"at":"2026-01-01T00:00:00Z","record":"run-begin","command":"install","bundle":null,"release":null,"lfctl":"0.1.0"}
{"at":"2026-01-01T00:00:01Z","record":"step-begin","step":"load"}
{"at":"2026-01-01T00:0
{"at":"2026-01-01T00:01:00Z","record":"run-begin","command":"install","bundle":null,"release":null,"lfctl":"0.1.0"}
{"at":"2026-01-01T00:01:01Z","record":"step-begin","step":"migrate"}
{"at":"2026-01-01T00:01:02Z","record":"step-end","step":"migrate","outcome":"failed"}
{"at":"2026-01-01T00:01:03Z","record":"run-end","complete":false}
"#,
    );
    let run = journal.unfinished().unwrap().unwrap();
    assert_eq!(run.step.as_deref(), Some("migrate"));
    journal.append("r", begin()).unwrap();
    assert_eq!(journal.entries().unwrap().len(), 7);
}
