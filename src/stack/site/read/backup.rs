//! The table `[backup]`.

use super::Reader;
use crate::stack::site::model::BackupLimits;
use crate::stack::site::section::Section;

impl Reader<'_> {
    pub(super) fn backup(&mut self, root: &Section<'_>) -> BackupLimits {
        let section = self.section(root, "backup");
        self.only(&section, &["max-age-days", "max-drill-age-days"]);
        let usual = BackupLimits::default();
        BackupLimits {
            max_age_days: self.days(&section, "max-age-days", usual.max_age_days),
            max_drill_age_days: self.days(&section, "max-drill-age-days", usual.max_drill_age_days),
        }
    }

    fn days(&mut self, section: &Section<'_>, key: &str, usual: u16) -> u16 {
        let Some(value) = self.find(section, key) else {
            return usual;
        };
        let integer = value.as_integer();
        let days = integer.and_then(|text| u16::from_str_radix(text.as_str(), text.radix()).ok());
        days.filter(|days| *days > 0).unwrap_or_else(|| {
            self.problem(
                section.path_of(key),
                "is not a number of days",
                format!("write a whole number from 1 to {}", u16::MAX),
            );
            usual
        })
    }
}
