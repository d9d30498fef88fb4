//! Backups and drills of an appliance.

use super::Fact;
use crate::appliance::Appliance;
use crate::appliance::backup::Records;
use crate::stack::site::{BackupLimits, SiteConfig};

/// What the host remembers of backups, and what the site wants of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backups {
    /// The last ones.
    pub records: Records,
    /// Whether the host keeps the password of the repository.
    pub has_password: bool,
    /// How old they may become.
    pub limits: BackupLimits,
}

impl Backups {
    /// Reads them.
    pub fn of(appliance: &Appliance, site: Option<&SiteConfig>) -> Fact<Self> {
        let read = Records::load(appliance).map(|records| Self {
            records,
            has_password: appliance.backup_password_path().exists(),
            limits: site.map(|site| site.backup).unwrap_or_default(),
        });
        read.into()
    }
}
