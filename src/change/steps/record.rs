//! Writing down what is installed, and with which secrets.

use jiff::Timestamp;

use super::BringUp;
use crate::appliance::state::{EnginePlace, SCHEMA, State, Status};
use crate::change::error::ChangeError;
use crate::change::release;
use crate::change::runner::Done;

impl<E> BringUp<'_, E> {
    pub(super) fn state(&self, status: Status) -> State {
        let manifest = self.bundle.manifest();
        let before = self.before.as_ref();
        let mut highest_counters = before
            .map(|state| state.highest_counters.clone())
            .unwrap_or_default();
        // Raised before anything runs: an install that breaks off after its
        // migration has already changed the data.
        let highest = highest_counters
            .entry(manifest.release.name.clone())
            .or_default();
        *highest = manifest.release.counter.max(*highest);
        State {
            schema: SCHEMA,
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
            status,
            release: manifest.release.clone(),
            highest_counters,
            bundle: self.bundle.digest(),
            key: self.bundle.key_id().map(|key| key.to_string()),
            engine: self.facts.kind,
            engine_at: Some(EnginePlace::of(self.facts)),
            images: self.target.images.clone(),
            stack: self.target.stack.clone(),
            listen: self.target.site.listen,
            holds_data: status == Status::Installed || before.is_some_and(|one| one.holds_data),
            fingerprints: self.fingerprints(),
            updated: Timestamp::now(),
        }
    }

    pub(super) fn intend(&mut self) -> Result<Done, ChangeError> {
        self.appliance
            .write_state(&self.state(Status::Installing))?;
        Ok(Done::now())
    }

    pub(super) fn commit(&mut self) -> Result<Done, ChangeError> {
        self.appliance.write_state(&self.state(Status::Installed))?;
        Ok(Done::now())
    }

    /// Writes anew when the appliance was last changed, if that was by a clock
    /// that went ahead.
    ///
    /// # Errors
    ///
    /// Another lfctl is at work, or the file cannot be written.
    pub fn write_time_again(&mut self) -> Result<(), ChangeError> {
        let before = self.before.as_ref();
        if before.is_some_and(|before| before.updated > Timestamp::now()) {
            let _lock = self.appliance.lock()?;
            self.commit()?;
        }
        Ok(())
    }

    pub(super) fn write_site(&mut self) -> Result<Done, ChangeError> {
        self.appliance.write_site(&self.target.site_text)?;
        Ok(Done::now())
    }

    pub(super) fn record_release(&mut self) -> Result<Done, ChangeError> {
        release::record(self.paths, self.reporter, self.bundle)?;
        Ok(Done::now())
    }

    pub(super) fn write_secrets(&mut self) -> Result<Done, ChangeError> {
        self.appliance.write_secrets(&self.secrets)?;
        Ok(Done::with(format!(
            "in {}: keep a copy of it apart from the backups",
            self.appliance.secrets_path().display()
        )))
    }
}
