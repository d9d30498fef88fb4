//! Who runs lfctl, as far as the kernel knows.

use fs_err as fs;

/// What the kernel writes where nobody logged in, as in a unit of systemd.
const NOBODY: u32 = u32::MAX;

/// The user of this process and the one who logged in; and what the
/// environment says, which anybody can set.
pub(super) fn who() -> (String, Option<String>) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::getuid().as_raw();
    let login = fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse().ok());
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let behind = variable("SUDO_USER").map(|user| format!("SUDO_USER={user}"));
    (describe(uid, login, &users), behind)
}

fn describe(uid: u32, login: Option<u32>, users: &str) -> String {
    let user = user(uid, users);
    match login {
        Some(NOBODY) | None => format!("{user}, no login"),
        Some(login) if login == uid => user,
        Some(login) => format!("{user}, logged in as {}", self::user(login, users)),
    }
}

/// A user by name and number, from the text of `/etc/passwd`.
fn user(uid: u32, users: &str) -> String {
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\n";

    #[test]
    fn the_user_behind_sudo_is_the_one_who_logged_in() {
        assert_eq!(
            describe(0, Some(1000), USERS),
            "root (uid 0), logged in as alice (uid 1000)"
        );
        assert_eq!(describe(1000, Some(1000), USERS), "alice (uid 1000)");
        assert_eq!(describe(0, Some(NOBODY), USERS), "root (uid 0), no login");
        assert_eq!(describe(7, None, USERS), "uid 7, no login");
    }
}
