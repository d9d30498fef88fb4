//! Backups that nothing is wrong with, for tests to spoil.

use crate::appliance::backup::{LastBackup, LastDrill, Records};
use crate::bundle::manifest::Release;
use crate::facts::Backups;
use crate::stack::site::BackupLimits;

pub(super) fn backups() -> Backups {
    let records = Records {
        backup: Some(LastBackup {
            at: "2026-11-22T02:00:00Z".parse().unwrap(),
            repository: "/mnt/backup".into(),
            snapshot: "5f2c8a10bb".to_owned(),
            release: Release {
                name: "langfuse".to_owned(),
                version: "4.16.0".parse().unwrap(),
                counter: 7,
                sdk: std::collections::BTreeMap::new(),
            },
            key: Some("9be1c0d2".to_owned()),
        }),
        drill: Some(LastDrill {
            at: "2026-11-01T02:00:00Z".parse().unwrap(),
            snapshot: "77aa".to_owned(),
        }),
        ..Records::default()
    };
    Backups {
        records,
        has_password: true,
        limits: BackupLimits::default(),
    }
}
