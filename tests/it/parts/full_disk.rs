//! Parts on a disk without room for them.

use fs_err as fs;

use super::{Desk, PART, SIZE, names, split, tree};
use crate::support::small_disk::{PAGE, SmallDisk};

/// What the parts of a bundle take, without their list.
fn taken(bundle: u64) -> u64 {
    bundle.next_multiple_of(PAGE)
}

fn bytes(desk: &Desk, name: &str) -> u64 {
    fs::metadata(desk.path(name)).unwrap().len()
}

#[track_caller]
fn refused(desk: &Desk, arguments: &[&str], word: &str) {
    let output = desk.command(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{text}");
    for word in ["No space left", word] {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_leaves_nothing_that_looks_finished() {
    let desk = Desk::new();
    let small = SmallDisk::at(desk.path("small"), 256 << 10);
    refused(&desk, &split("a.tar", SIZE, "small"), "a.tar.00");
    assert_eq!(names(&small.0), [""; 0]);
}

#[test]
#[ignore = "needs root"]
fn a_disk_that_holds_the_parts_and_not_their_list_holds_none_of_them() {
    let desk = Desk::new();
    let room = taken(bytes(&desk, "a.tar"));
    let small = SmallDisk::at(desk.path("small"), room);
    refused(&desk, &split("a.tar", SIZE, "small"), "a.tar.parts");
    assert_eq!(names(&small.0), [""; 0]);
}

#[test]
#[ignore = "needs root"]
fn an_earlier_set_is_whole_when_the_list_of_the_next_finds_no_room() {
    let desk = Desk::new();
    fs::create_dir(desk.path("next")).unwrap();
    fs::rename(desk.path("a.tar"), desk.path("next/a.tar")).unwrap();
    desk.bundle("a.tar", 2);
    let (old, new) = (bytes(&desk, "a.tar"), bytes(&desk, "next/a.tar"));
    // The list has a hundred bytes for each part, which is less than a page.
    assert!(old.div_ceil(PART as u64) < 30);
    let small = SmallDisk::at(desk.path("small"), taken(old) + 2 * PAGE + taken(new));
    desk.split("a.tar", SIZE, "small");
    let before = tree(&small.0);
    refused(&desk, &split("next/a.tar", SIZE, "small"), "a.tar.parts");
    assert!(tree(&small.0) == before);
    let verify = ["--root", "root", "bundle", "verify", "small/a.tar.parts"];
    desk.ok(&verify);
}

#[test]
fn a_name_that_no_list_holds_is_refused_before_anything_is_cut() {
    let desk = Desk::new();
    for (name, word) in [
        (".a.tar", "it begins with `.`"),
        (&"a".repeat(201)[..], "it has more than 200 bytes"),
    ] {
        fs::copy(desk.path("a.tar"), desk.path(name)).unwrap();
        let output = desk.command(&split(name, SIZE, "none"));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(word), "{text}");
        assert_eq!(names(&desk.path("none")), [""; 0]);
    }
}
