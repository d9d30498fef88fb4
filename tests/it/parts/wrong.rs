//! Parts that are wrong, missing or not those of the list.

use fs_err as fs;

use super::{Desk, SIZE, flip, names};

#[test]
fn each_wrong_part_is_named() {
    let list = "parts/a.tar.parts";
    let desk = Desk::new();
    let good = fs::read(desk.part(2)).unwrap();

    flip(&desk.part(2), 777);
    desk.refuses(list, 4, &["a.tar.002", "other content"]);
    fs::write(desk.part(2), &good[..good.len() - 1]).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "the copy is not whole"]);
    fs::copy(desk.part(3), desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "belongs into `a.tar.003`"]);
    fs::remove_file(desk.part(2)).unwrap();
    desk.refuses(list, 74, &["part `a.tar.002` is missing", "parts"]);
    fs::write(desk.part(2), &good).unwrap();

    // The last is shorter than the others, and still not just cut off.
    let count = names(&desk.path("parts")).len() - 2;
    fs::copy(desk.part(count), desk.part(2)).unwrap();
    let shorter = format!("belongs into `a.tar.{count:03}`");
    desk.refuses(list, 4, &["a.tar.002", &shorter]);
    fs::write(desk.part(2), [&good[..], b"more"].concat()).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "it is another file"]);
    fs::remove_file(desk.part(2)).unwrap();
    fs::create_dir(desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "not a regular file"]);
    fs::remove_dir(desk.part(2)).unwrap();
    fs::write(desk.part(2), &good).unwrap();

    // A part of another bundle made with the same key.
    desk.bundle("b.tar", 2);
    desk.split("b.tar", SIZE, "other");
    fs::copy(desk.path("other/b.tar.002"), desk.part(2)).unwrap();
    desk.refuses(list, 4, &["a.tar.002", "damaged, or of another bundle"]);
    // Where the list of that bundle is at hand, it says which.
    for name in ["b.tar.parts", "b.tar.parts.minisig"] {
        fs::copy(desk.path("other").join(name), desk.path("parts").join(name)).unwrap();
    }
    let words = ["a.tar.002", "`b.tar.002` of another bundle", "b.tar.parts"];
    desk.refuses(list, 4, &words);
    fs::write(desk.part(2), &good).unwrap();
    desk.ok(&["--root", "root", "bundle", "verify", list]);
}

#[test]
fn all_wrong_parts_are_named_at_once() {
    let list = "parts/a.tar.parts";
    let desk = Desk::new();
    flip(&desk.part(3), 0);
    let (one, two) = (
        fs::read(desk.part(1)).unwrap(),
        fs::read(desk.part(2)).unwrap(),
    );
    fs::write(desk.part(1), two).unwrap();
    fs::write(desk.part(2), one).unwrap();
    let words = [
        "3 parts are missing or damaged",
        "`parts/a.tar.001` holds what belongs into `a.tar.002`",
        "`parts/a.tar.002` holds what belongs into `a.tar.001`",
        "`parts/a.tar.003` has other content",
    ];
    desk.refuses(list, 4, &words);
    for number in [2, 4] {
        fs::remove_file(desk.part(number)).unwrap();
    }
    let missing = "parts `a.tar.002`, `a.tar.004` are missing; looked in `parts`";
    desk.refuses(list, 74, &[missing]);
    fs::write(desk.part(1), "short").unwrap();
    desk.refuses(list, 4, &[missing, "a.tar.001` has 5 bytes"]);
}

#[test]
fn a_right_copy_stands_in_for_a_wrong_one() {
    let desk = Desk::new();
    fs::create_dir(desk.path("more")).unwrap();
    fs::copy(desk.part(2), desk.path("more/a.tar.002")).unwrap();
    flip(&desk.part(2), 9);
    let verify = [
        "--root",
        "root",
        "bundle",
        "verify",
        "parts/a.tar.parts",
        "--parts-in",
        "more",
    ];
    let output = desk.command(&verify);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("`parts/a.tar.002` is wrong, `more/a.tar.002` is right"),
        "{text}"
    );
    // Two wrong ones are no right one.
    flip(&desk.path("more/a.tar.002"), 9);
    assert_eq!(desk.command(&verify).status.code(), Some(4));
}

#[test]
fn looking_inside_reads_no_more_than_it_shows() {
    let desk = Desk::new();
    let inspect = ["--root", "root", "bundle", "inspect", "parts/a.tar"];
    // Part 4 holds nothing but a layer.
    flip(&desk.part(4), 5);
    desk.ok(&inspect);
    // Part 1 holds the head: the part is named, not what it broke.
    flip(&desk.part(1), 5000);
    let output = desk.command(&inspect);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("`parts/a.tar.001` has other content"),
        "{text}"
    );
}

#[test]
fn a_list_counts_only_as_it_was_signed() {
    let desk = Desk::new();
    let (list, signature) = (
        desk.path("parts/a.tar.parts"),
        desk.path("parts/a.tar.parts.minisig"),
    );
    let good = fs::read(&list).unwrap();
    for at in (0..good.len()).step_by(37) {
        flip(&list, at);
        desk.refuses("parts/a.tar.parts", 4, &["part list", "not to be trusted"]);
        fs::write(&list, &good).unwrap();
    }
    flip(&signature, 60);
    desk.refuses("parts/a.tar.parts", 4, &["not to be trusted"]);
    fs::remove_file(&signature).unwrap();
    desk.refuses(
        "parts/a.tar.parts",
        4,
        &["not signed", "a.tar.parts.minisig"],
    );

    // A list that a trusted key signed for other parts of the same sizes.
    desk.bundle("b.tar", 2);
    desk.split("b.tar", SIZE, "other");
    fs::copy(
        desk.path("other/b.tar.parts"),
        desk.path("parts/b.tar.parts"),
    )
    .unwrap();
    fs::copy(
        desk.path("other/b.tar.parts.minisig"),
        desk.path("parts/b.tar.parts.minisig"),
    )
    .unwrap();
    for name in names(&desk.path("parts"))
        .iter()
        .filter(|name| name.starts_with("a.tar.0"))
    {
        fs::copy(
            desk.path("parts").join(name),
            desk.path("parts").join(name.replacen('a', "b", 1)),
        )
        .unwrap();
    }
    desk.refuses("parts/b.tar.parts", 4, &["b.tar.00", "other content"]);
}
