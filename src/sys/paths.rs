//! Where lfctl keeps things on the host.
//!
//! As root: `/etc/lfctl`, `/var/lib/lfctl`, `/var/log/lfctl`. Without root:
//! the XDG directories. With `--root DIR`: the root layout below `DIR`.

use std::path::{Path, PathBuf};

/// The directories of one installation of lfctl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    etc: PathBuf,
    lib: PathBuf,
    log: PathBuf,
}

impl Paths {
    /// The layout below `root`, as root uses it below `/`.
    pub fn below(root: &Path) -> Self {
        Self {
            etc: root.join("etc/lfctl"),
            lib: root.join("var/lib/lfctl"),
            log: root.join("var/log/lfctl"),
        }
    }

    /// The XDG layout. `home` is used where the variable is unset or empty.
    pub fn xdg(home: &Path, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let dir = |name: &str, default: &str| {
            variable(name)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(default))
                .join("lfctl")
        };
        let state = dir("XDG_STATE_HOME", ".local/state");
        Self {
            etc: dir("XDG_CONFIG_HOME", ".config"),
            lib: dir("XDG_DATA_HOME", ".local/share"),
            log: state,
        }
    }

    /// `trusted-keys.d`: one public key a file.
    pub fn trusted_keys(&self) -> PathBuf {
        self.etc.join("trusted-keys.d")
    }

    /// `revoked-keys`: one key id a line.
    pub fn revoked_keys(&self) -> PathBuf {
        self.etc.join("revoked-keys")
    }

    /// `trust-policy.toml`: how many have to sign.
    pub fn trust_policy(&self) -> PathBuf {
        self.etc.join("trust-policy.toml")
    }

    /// `host.key`: what this host signs its own reports with.
    pub fn host_key(&self) -> PathBuf {
        self.etc.join("host.key")
    }

    /// `releases.json`: what this host has had.
    pub fn releases(&self) -> PathBuf {
        self.lib.join("releases.json")
    }

    /// `statements.json`: what this host was told of keys.
    pub fn statements(&self) -> PathBuf {
        self.lib.join("statements.json")
    }

    /// `site.toml` of an appliance.
    pub fn site(&self, appliance: &str) -> PathBuf {
        self.etc.join(appliance).join("site.toml")
    }

    /// State directory of an appliance.
    pub fn state_dir(&self, appliance: &str) -> PathBuf {
        self.lib.join(appliance)
    }

    /// The directory that holds the state directories of all appliances.
    pub fn appliances(&self) -> &Path {
        &self.lib
    }

    /// The directory that holds the audit logs.
    pub fn audit_logs(&self) -> &Path {
        &self.log
    }

    /// The names that have an audit log, in their order.
    pub fn audited(&self) -> std::io::Result<Vec<String>> {
        let entries = match fs_err::read_dir(&self.log) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if self.audit_log(&name).exists() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Audit log of an appliance.
    pub fn audit_log(&self, appliance: &str) -> PathBuf {
        self.log.join(appliance).join("audit.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_layout() {
        let paths = Paths::below(Path::new("/"));
        assert_eq!(
            paths.site("langfuse"),
            Path::new("/etc/lfctl/langfuse/site.toml")
        );
        assert_eq!(
            paths.audit_log("langfuse"),
            Path::new("/var/log/lfctl/langfuse/audit.jsonl")
        );
    }

    #[test]
    fn xdg_layout_ignores_relative_variables() {
        let paths = Paths::xdg(Path::new("/home/op"), |name| {
            (name == "XDG_CONFIG_HOME").then(|| PathBuf::from("relative"))
        });
        assert_eq!(
            paths.trusted_keys(),
            Path::new("/home/op/.config/lfctl/trusted-keys.d")
        );
        assert_eq!(
            paths.state_dir("x"),
            Path::new("/home/op/.local/share/lfctl/x")
        );
    }
}
