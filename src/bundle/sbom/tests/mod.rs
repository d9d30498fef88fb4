mod document;

use proptest::prelude::*;

use super::*;
use crate::bundle::manifest::BundleManifest;
use crate::fake::bundle::{Fake, FakeImage, FakeLayer};
use crate::oci::digest::Digest;

const STATUS: &str =
    "Package: base-files\nStatus: install ok installed\nVersion: 12.4\nArchitecture: amd64\n";
const DEP5: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nLicense: GPL-2+\n";

#[derive(Clone)]
enum Put<'a> {
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

use Put::{File, Hard, Link};

fn layer(entries: &[Put<'_>]) -> LayerContent {
    scanned(entries).unwrap()
}

fn scanned(entries: &[Put<'_>]) -> std::io::Result<LayerContent> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        match entry {
            File(path, text) => {
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target).unwrap();
            }
            Hard(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                tar.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    scan(&mut tar.into_inner().unwrap().as_slice())
}

fn names(layers: &[LayerContent]) -> Vec<String> {
    let content = ImageContent::of(layers);
    content
        .packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect()
}

fn licences_of(layers: &[LayerContent], name: &str) -> Vec<String> {
    let content = ImageContent::of(layers);
    let found = content
        .packages
        .into_iter()
        .find(|package| package.name == name);
    found.unwrap().licences.to_vec()
}

#[test]
fn a_later_database_replaces_an_earlier_one() {
    let base = layer(&[File("./var/lib/dpkg/status", STATUS)]);
    let more = STATUS.to_owned() + "\nPackage: curl\nStatus: install ok installed\nVersion: 7\n";
    let top = layer(&[File("var/lib/dpkg/status", &more)]);
    assert_eq!(names(std::slice::from_ref(&base)), ["base-files 12.4"]);
    assert_eq!(names(&[base, top]), ["base-files 12.4", "curl 7"]);
}

#[test]
fn packages_of_every_kind_of_database_are_found() {
    let apk = "P:musl\nV:1.2\nA:x86_64\nL:MIT\n";
    let found = names(&[layer(&[
        File(
            "var/lib/dpkg/status.d/tzdata",
            "Package: tzdata\nVersion: 2025b\n",
        ),
        File(
            "var/lib/dpkg/status.d/tzdata.md5sums",
            "Package: no\nVersion: 0\n",
        ),
        File("usr/lib/apk/db/installed", apk),
        File("home/var/lib/dpkg/status", STATUS),
    ])]);
    assert_eq!(found, ["tzdata 2025b", "musl 1.2"]);
}

#[test]
fn whiteouts_hide_what_lies_below_and_nothing_else() {
    let base = || layer(&[File("var/lib/dpkg/status", STATUS)]);
    for gone in [
        "var/lib/dpkg/.wh.status",
        "var/lib/.wh.dpkg",
        ".wh.var",
        "var/lib/dpkg/.wh..wh..opq",
        ".wh..wh..opq",
    ] {
        assert!(
            names(&[base(), layer(&[File(gone, "")])]).is_empty(),
            "{gone}"
        );
        // In the same layer a whiteout hides only what came before.
        let again = layer(&[File("var/lib/dpkg/status", STATUS), File(gone, "")]);
        assert_eq!(names(&[base(), again]).len(), 1, "{gone}");
    }
    for stays in [
        "var/.wh.status",
        "var/lib/dpkg/.wh.stat",
        "var/lib/.wh.dp",
        "var/lib/apt/.wh..wh..opq",
    ] {
        assert_eq!(
            names(&[base(), layer(&[File(stays, "")])]).len(),
            1,
            "{stays}"
        );
    }
    // A link or file in the place of a directory hides it, too.
    assert!(names(&[base(), layer(&[Link("var", "elsewhere")])]).is_empty());
}

#[test]
fn licences_are_found_through_links() {
    let status = ["a", "b", "c", "d", "e"]
        .map(|name| STATUS.replace("base-files", name))
        .join("\n");
    let layers = [
        layer(&[
            File("var/lib/dpkg/status", &status),
            File("usr/share/doc/a/copyright", DEP5),
        ]),
        layer(&[
            Link("usr/share/doc/b", "a"),
            Link("usr/share/doc/c/copyright", "../b/copyright"),
            Hard("usr/share/doc/d/copyright", "./usr/share/doc/a/copyright"),
            Link("usr/share/doc/e/copyright", "../../../../../../outside"),
        ]),
    ];
    for name in ["a", "b", "c", "d"] {
        assert_eq!(licences_of(&layers, name), ["GPL-2+"], "{name}");
    }
    assert!(licences_of(&layers, "e").is_empty());
}

#[test]
fn links_in_a_circle_lead_nowhere() {
    let layers = [layer(&[
        File("var/lib/dpkg/status", STATUS),
        Link("usr/share/doc/base-files/copyright", "copyright"),
    ])];
    assert!(licences_of(&layers, "base-files").is_empty());
}

/// What is left out of the list, and with which words.
#[track_caller]
fn leaves_out(entries: &[Put<'_>], words: &str) {
    let unread = ImageContent::of([&scanned(entries).unwrap()]).unread;
    let unread: Vec<_> = unread.into_iter().collect();
    assert!(unread.join("; ").contains(words), "{unread:?}");
}

#[test]
fn a_directory_of_databases_that_is_a_link_is_told() {
    let away = "var/lib/dpkg";
    leaves_out(
        &[Link(away, "../../usr/lib/sysimage/dpkg")],
        "it is a link to",
    );
    leaves_out(&[Link("var", "private/var")], "it is a link to");
    leaves_out(&[Link("var/lib/rpm", "/opt/rpm")], "it is a link to");
    // These lead to what is looked at.
    lists(&[
        Link("lib", "usr/lib"),
        Link("var/lib/rpm", "../../usr/lib/sysimage/rpm"),
    ]);
    lists(&[Link("opt", "var/opt"), Link("var/run", "../run")]);
    // What a lower layer had there is gone from sight.
    let layers = [
        layer(&[File("var/lib/dpkg/status", STATUS)]),
        layer(&[Link(away, "/elsewhere")]),
    ];
    let content = ImageContent::of(&layers);
    assert!(content.packages.is_empty() && !content.unread.is_empty());
}

/// What is listed without doubt.
#[track_caller]
fn lists(entries: &[Put<'_>]) {
    let unread = ImageContent::of([&scanned(entries).unwrap()]).unread;
    assert!(unread.is_empty(), "{unread:?}");
}

fn status(packages: usize, version: &str) -> String {
    (0..packages)
        .map(|at| format!("Package: lib{at}\nVersion: {version}\nArchitecture: amd64\n\n"))
        .collect::<Vec<_>>()
        .concat()
}

/// The most that one copyright file may name.
fn many_licences() -> String {
    let licences = (0..200).map(|at| format!("License: {at}{}\n", "x".repeat(1000)));
    DEP5.to_owned() + &licences.collect::<Vec<_>>().concat()
}

#[test]
fn no_layer_holds_more_than_any_honest_one() {
    // A large system, all of it in one layer.
    let honest = status(10_000, "1:2.3.4+dfsg-5ubuntu6.7");
    lists(&[File("var/lib/dpkg/status", &honest)]);

    let dpkg = "var/lib/dpkg/status";
    let (word, long) = ("x".repeat(256), "x".repeat(257));
    lists(&[File(dpkg, &status(10, &word))]);
    leaves_out(
        &[File(dpkg, &status(1, &long))],
        "`Version` of a package has 257 bytes, more than 256",
    );
    let apk = format!("P:a\nV:1\nL:{}\n", "x".repeat(1025));
    leaves_out(&[File("lib/apk/db/installed", &apk)], "more than 1024");
    let copyright = format!("{DEP5}License: {}\n", "x".repeat(1025));
    leaves_out(
        &[File("usr/share/doc/a/copyright", &copyright)],
        "licence in a copyright file has 1025 bytes",
    );
    let release = format!("ID={long}\n");
    leaves_out(&[File("etc/os-release", &release)], "`ID` in `os-release`");

    // Each is short enough, all of them are not.
    leaves_out(&[File(dpkg, &status(30_000, &word))], "more than 8 MiB");
    let copyright = many_licences();
    let paths: Vec<_> = (0..50)
        .map(|at| format!("usr/share/doc/lib{at}/copyright"))
        .collect();
    let files: Vec<_> = paths.iter().map(|path| File(path, &copyright)).collect();
    leaves_out(&files, "more than 8 MiB");
    let paths: Vec<_> = (0..100)
        .map(|at| format!("usr/share/doc/{at}{}", "x".repeat(100_000)))
        .collect();
    let links: Vec<_> = paths.iter().map(|path| Link(path, "a")).collect();
    leaves_out(&links, "more than 8 MiB");
    let targets: Vec<_> = (0..100)
        .map(|at| format!("{at}{}", "x".repeat(100_000)))
        .collect();
    let paths: Vec<_> = (0..100).map(|at| format!("usr/share/doc/{at}")).collect();
    let links: Vec<_> = paths
        .iter()
        .zip(&targets)
        .map(|(path, target)| Link(path, target))
        .collect();
    leaves_out(&links, "more than 8 MiB");
}

#[test]
fn a_list_that_may_be_short_says_so() {
    let dpkg = File("var/lib/dpkg/status", STATUS);
    let rpm = "var/lib/rpm/rpmdb.sqlite";
    for (odd, words) in [
        (
            File(rpm, "SQLite format 3"),
            "does not read the database of rpm",
        ),
        (File("usr/lib/sysimage/rpm/Packages.db", ""), "of rpm"),
        (
            Link("lib/apk/db/installed", "/data/installed"),
            "a link to `/data/installed`",
        ),
        (
            Hard("lib/apk/db/installed", "data/in\u{1b}stalled"),
            "a link to `data/in stalled`",
        ),
    ] {
        leaves_out(&[dpkg.clone(), odd], words);
    }
    lists(&[
        dpkg.clone(),
        Link("lib/apk/db/installed", "../../../usr/lib/apk/db/installed"),
    ]);
    // What an upper layer removes is not there to be read.
    let layers = [
        layer(&[File(rpm, "x")]),
        layer(&[File("var/lib/.wh.rpm", "")]),
    ];
    let content = ImageContent::of(&layers);
    assert!(content.unread.is_empty() && !content.has_database);
    assert!(ImageContent::of(&[layer(&[dpkg])]).has_database);
}

/// The first entries are listed, whatever lies behind them.
#[test]
fn an_odd_entry_does_not_cost_the_list() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(STATUS.len() as u64);
    tar.append_data(&mut header, "var/lib/dpkg/status", STATUS.as_bytes())
        .unwrap();
    let mut bytes = tar.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend([b'?'; 2048]);
    let content = ImageContent::of([&scan(&mut bytes.as_slice()).unwrap()]);
    assert_eq!(content.packages.len(), 1);
    let unread: Vec<_> = content.unread.into_iter().collect();
    assert!(
        unread[0].starts_with("behind `var/lib/dpkg/status` "),
        "{unread:?}"
    );
}

proptest! {
    #[test]
    fn no_stack_of_layers_makes_it_panic(paths in prop::collection::vec("(\\.wh\\.|/|\\.|usr|share|doc|var|lib|dpkg|status|copyright|é){1,9}", 0..12)) {
        let layers: Vec<_> = paths
            .iter()
            .map(|path| {
                let mut header = tar::Header::new_old();
                let name = &mut header.as_old_mut().name;
                let bytes = &path.as_bytes()[..path.len().min(name.len())];
                name[..bytes.len()].copy_from_slice(bytes);
                header.set_size(0);
                header.set_cksum();
                scan(&mut header.as_bytes().as_slice()).unwrap()
            })
            .collect();
        let _ = names(&layers);
    }
}
