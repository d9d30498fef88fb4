//! Room on filesystems, and which paths share one.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The filesystem under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The path that was looked at: the nearest that exists, without links.
    pub path: PathBuf,
    /// Device number; equal for two paths on one filesystem.
    pub device: u64,
    pub mount_point: PathBuf,
    /// Such as `ext4`; `unknown` where the kernel does not say.
    pub fs_type: String,
    /// Bytes in all.
    pub total: u64,
    /// Bytes that an unprivileged process may still write.
    pub free: u64,
}

impl Disk {
    /// Looks at `path` or, where it does not exist yet, at its nearest parent
    /// that does.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = nearest_existing(path)?;
        let stat = rustix::fs::statvfs(&path).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(
                error.kind(),
                format!(
                    "failed to look at the filesystem of `{}`: {error}",
                    path.display()
                ),
            )
        })?;
        let device = fs::metadata(&path)?.dev();
        // A name that is not UTF-8 belongs to some other mount.
        let mounts = fs::read("/proc/self/mountinfo")?;
        let mount = mount_of(&String::from_utf8_lossy(&mounts), &path);
        Ok(Self {
            device,
            mount_point: mount
                .as_ref()
                .map_or_else(|| PathBuf::from("/"), |mount| mount.point.clone()),
            fs_type: mount.map_or_else(|| "unknown".to_owned(), |mount| mount.fs_type),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            path,
        })
    }
}

fn nearest_existing(path: &Path) -> io::Result<PathBuf> {
    for ancestor in path.ancestors() {
        match fs::canonicalize(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    fs::canonicalize(".")
}

/// A line of `mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    fs_type: String,
}

/// The mount that `path` lies on: the longest prefix, and of equal ones the
/// last, which covers the others.
fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    mountinfo
        .lines()
        .filter_map(parse_mount)
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/sda rw`
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    Some(Mount {
        point: unescape(before.split(' ').nth(4)?),
        fs_type: after.split(' ').next()?.to_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, after.get(3..)) {
            (Some(code), Some(behind)) if code.is_ascii() => {
                plain.push(char::from(code));
                rest = behind;
            }
            _ => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &str = "\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 8:1 / /var/lib rw - ext4 /dev/sdb1 rw
41 40 8:2 / /var/lib/docker rw shared:7 master:3 - xfs /dev/sdb2 rw,attr2
42 27 8:3 / /mnt/my\\040stick ro - vfat /dev/sdc1 ro
43 41 0:50 / /var/lib/docker rw - btrfs /dev/sdd rw
not a line
";

    #[test]
    fn the_longest_and_last_mount_wins() {
        for (path, point, fs_type) in [
            ("/etc/lfctl", "/", "ext4"),
            ("/var/lib/lfctl", "/var/lib", "ext4"),
            ("/var/lib/docker/tmp", "/var/lib/docker", "btrfs"),
            // A name that only begins alike lies elsewhere.
            ("/var/lib/docker2", "/var/lib", "ext4"),
            ("/mnt/my stick/bundle.tar", "/mnt/my stick", "vfat"),
        ] {
            let mount = mount_of(MOUNTS, Path::new(path)).unwrap();
            assert_eq!(mount.point, Path::new(point), "{path}");
            assert_eq!(mount.fs_type, fs_type, "{path}");
        }
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn a_path_that_does_not_exist_yet_is_judged_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let there = Disk::of(dir.path()).unwrap();
        let not_yet = Disk::of(&dir.path().join("a/b/c")).unwrap();
        assert_eq!(not_yet.path, fs::canonicalize(dir.path()).unwrap());
        assert_eq!(not_yet.device, there.device);
        assert!(there.total > 0 && there.free <= there.total);
        assert_ne!(there.fs_type, "unknown");
    }

    #[test]
    fn other_filesystems_have_other_devices() {
        let root = Disk::of(Path::new("/")).unwrap();
        let proc = Disk::of(Path::new("/proc")).unwrap();
        assert_eq!(proc.fs_type, "proc");
        assert_eq!(proc.mount_point, Path::new("/proc"));
        assert_ne!(proc.device, root.device);
    }

    proptest! {
        #[test]
        fn any_mount_point_is_read_back(name in "[ -~\\t\\n]{1,40}") {
            let escaped: String = name
                .chars()
                .map(|c| match c {
                    ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect();
            prop_assert_eq!(unescape(&escaped), PathBuf::from(name));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = mount_of(&text, Path::new("/a/b"));
        }
    }
}
