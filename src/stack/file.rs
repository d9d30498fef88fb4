//! Modes and owners of files, as a definition spells them.

/// Octal text such as `0400` as permission bits.
pub fn parse_mode(text: &str) -> Option<u32> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    octal.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// `uid:gid` as numbers.
pub fn parse_owner(text: &str) -> Option<(u64, u64)> {
    let id = |text: &str| text.parse::<u32>().ok().map(u64::from);
    let (uid, gid) = text.split_once(':')?;
    Some((id(uid)?, id(gid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_modes_and_owners_and_nothing_else() {
        assert_eq!(parse_mode("0400"), Some(0o400));
        assert_eq!(parse_mode("644"), Some(0o644));
        for bad in ["", "4", "0800", "00400", "+400", "-400", "u=r"] {
            assert_eq!(parse_mode(bad), None, "{bad}");
        }
        assert_eq!(parse_owner("101:101"), Some((101, 101)));
        for bad in [
            "",
            "101",
            "redis:redis",
            "1:2:3",
            ":",
            "-1:0",
            "4294967296:0",
        ] {
            assert_eq!(parse_owner(bad), None, "{bad}");
        }
    }
}
