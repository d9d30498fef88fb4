//! Bundles that are signed by a key with a password.

use super::{Desk, names, pushed};
use crate::password::{PASSWORD, with_descriptor};

#[test]
#[ignore = "needs a registry"]
fn a_protected_key_signs_what_is_pulled() {
    let registry = pushed();
    let desk = Desk::new();
    let generate = ["key", "generate", "-o", "protected", "--password-fd", "3"];
    let made = with_descriptor(&desk.command(&generate), PASSWORD);
    assert!(made.status.success(), "{made:?}");
    let docker = format!("docker.io={}", registry.address());
    let quay = format!("quay.io={}", registry.address());
    let mut create = Desk::create(&docker, &quay);
    let key = create.iter_mut().find(|word| **word == "release.key");
    *key.unwrap() = "protected.key";
    let with_password = [&create[..], &["--password-fd", "3"]].concat();

    let before = names(desk.dir.path());
    for (arguments, text, code, words) in [
        (&with_password, "Spatz\n", 4, "does not open the secret key"),
        (&create, "", 2, "give the password with `--password-fd`"),
    ] {
        let refused = with_descriptor(&desk.command(arguments), text);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(names(desk.dir.path()), before);
    }

    let created = with_descriptor(&desk.command(&with_password), PASSWORD);
    assert!(created.status.success(), "{created:?}");
    assert!(!format!("{created:?}").contains(PASSWORD));
    desk.lfctl(&[
        "bundle",
        "verify",
        "a.tar",
        "--trusted-key",
        "protected.pub",
    ]);
}
