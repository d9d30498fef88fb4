use super::*;
use proptest::prelude::*;

fn list(size: u64, part_size: u64) -> PartList {
    let count = usize::try_from(size.div_ceil(part_size)).unwrap();
    PartList {
        format: FORMAT,
        name: "a.tar".to_owned(),
        index: Digest::of(b"index"),
        size,
        part_size,
        parts: (0..count).map(|at| Digest::of(&at.to_be_bytes())).collect(),
    }
}

fn parsed(list: &PartList) -> Result<PartList, String> {
    PartList::parse(&serde_json::to_vec(list).unwrap())
}

#[test]
fn only_lists_that_add_up_are_lists() {
    let good = list(1000, 300);
    assert_eq!(parsed(&good).unwrap(), good);
    assert_eq!(
        (good.part_bytes(0), good.part_bytes(3), good.part_bytes(9)),
        (300, 100, 0)
    );
    assert_eq!(good.part_name(9), "a.tar.010");
    let spoilt: [fn(&mut PartList); 8] = [
        |list| list.format = 2,
        |list| list.name = "../a.tar".to_owned(),
        |list| list.name = ".hidden".to_owned(),
        |list| list.size = 0,
        |list| list.part_size = 0,
        |list| list.size = u64::MAX,
        |list| list.parts.truncate(3),
        |list| list.part_size = 299,
    ];
    for (at, spoil) in spoilt.into_iter().enumerate() {
        let mut list = list(1200, 300);
        spoil(&mut list);
        assert!(
            at == 7 && list.parts.len() == 4 || parsed(&list).is_err(),
            "case {at}"
        );
    }
    assert!(parsed(&list(MOST + 1, 1)).is_err());
    assert!(PartList::parse(b"{}").is_err());
}

#[test]
fn every_name_of_a_split_bundle_leads_to_its_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["a.tar.parts", "a.tar.001", "whole.tar", "b.tar.001"] {
        fs::write(path(name), "").unwrap();
    }
    let leads = |name: &str| list_of(&path(name));
    for name in ["a.tar.parts", "a.tar.001", "a.tar.1234", "a.tar"] {
        assert_eq!(leads(name), Some(path("a.tar.parts")), "{name}");
    }
    for name in ["whole.tar", "b.tar.001", "none.tar", "a.tar.1"] {
        assert_eq!(leads(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn parts_cover_the_bundle(size in 1..5000_u64, part_size in 1..600_u64) {
        let list = list(size, part_size);
        prop_assert!(parsed(&list).is_ok());
        let sizes: Vec<_> = (0..list.parts.len()).map(|at| list.part_bytes(at)).collect();
        prop_assert_eq!(sizes.iter().sum::<u64>(), size);
        prop_assert!(sizes.iter().all(|size| *size > 0));
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,200}") {
        let _ = PartList::parse(text.as_bytes());
    }
}
