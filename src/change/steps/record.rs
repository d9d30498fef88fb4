//! Writing down what is installed, and with which secrets.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::BringUp;
use crate::appliance::backup::{LastBackup, Records};
use crate::appliance::generation::{Generation, Kept, stack_bytes};
use crate::appliance::state::{EnginePlace, Recorded, SCHEMA, State, Status};
use crate::change::error::ChangeError;
use crate::change::release;
use crate::change::runner::Done;
use crate::host::HostLock;
use crate::oci::digest::Digest;
use crate::stack::Schema;

impl<E> BringUp<'_, E> {
    /// The generation that this change makes.
    fn generation(&self) -> Result<Generation, ChangeError> {
        let target = &self.target;
        let site = Some(Digest::of(target.site_text.as_bytes()));
        let number = match &self.before {
            None => 1,
            Some(state) if self.goes_on_with(state) => state.current.number,
            Some(state) => state.current.number + 1,
        };
        let last = |schema: &Schema| (schema.service.clone(), schema.last.clone());
        Ok(Generation {
            number,
            release: target.release.clone(),
            bundle: target.bundle,
            key: target.key.clone(),
            images: target.images.clone(),
            stack: Digest::of(&stack_bytes(&target.stack)?),
            site,
            listen: target.site.listen,
            schemas: target.stack.schemas.iter().map(last).collect(),
            schema_change: self.schema_change,
            backup: self.backup_before()?,
            made_by: self.command.to_owned(),
            at: Timestamp::now(),
        })
    }

    /// The backup that leads back from an upgrade.
    fn backup_before(&self) -> Result<Option<LastBackup>, ChangeError> {
        let Some(before) = self.before.as_ref().filter(|_| self.command == "upgrade") else {
            return Ok(None);
        };
        let last = Records::load(self.appliance)?.backup;
        Ok(last.filter(|last| last.release == before.current.release))
    }

    /// Whether this change ends what `state` began, or repairs what it has.
    fn goes_on_with(&self, state: &State) -> bool {
        let current = &state.current;
        let site = Some(Digest::of(self.target.site_text.as_bytes()));
        let is_same = current.bundle == self.target.bundle && current.site == site;
        is_same || state.status == Status::Installing
    }

    pub(super) fn write_state(&mut self, status: Status, run: &str) -> Result<(), ChangeError> {
        let before = self.before.as_ref();
        let mut highest_counters = before
            .map(|state| state.highest_counters.clone())
            .unwrap_or_default();
        let release = &self.target.release;
        // Raised before anything runs: an install that breaks off after its
        // migration has already changed the data.
        let highest = highest_counters.entry(release.name.clone()).or_default();
        *highest = release.counter.max(*highest);
        let current = self.generation()?;
        let previous = match before {
            Some(state) if self.goes_on_with(state) => state.previous.clone(),
            Some(state) if state.status == Status::Installed => Some(state.current.clone()),
            _ => None,
        };
        let record = Recorded {
            schema: SCHEMA,
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
            status,
            current,
            previous,
            run: run.to_owned(),
            highest_counters,
            engine: self.facts.kind,
            engine_at: Some(EnginePlace::of(self.facts)),
            holds_data: status == Status::Installed || before.is_some_and(|one| one.holds_data),
            fingerprints: self.fingerprints(),
            stopped: BTreeSet::new(),
            updated: Timestamp::now(),
        };
        self.keep(&record.current)?;
        let state = State {
            record,
            stack: self.target.stack.clone(),
        };
        Ok(self.appliance.write_state(&state)?)
    }

    fn keep(&self, generation: &Generation) -> Result<(), ChangeError> {
        let head = match self.bundle {
            Some(bundle) => Some(bundle.head()?),
            None => self.kept_head(generation)?,
        };
        let kept = Kept {
            stack: &self.target.stack,
            site: Some(&self.target.site_text),
            head: head.as_deref(),
        };
        Ok(self.appliance.keep_generation(generation, &kept)?)
    }

    /// The head that an earlier generation of the same bundle keeps.
    fn kept_head(&self, generation: &Generation) -> Result<Option<Vec<u8>>, ChangeError> {
        let recorded = self.before.iter();
        let kept = recorded.flat_map(|state| state.previous.iter().chain([&state.current]));
        let mut same = kept.filter(|one| one.bundle == generation.bundle);
        let head = same.find_map(|one| self.appliance.head_of(one).transpose());
        Ok(head.transpose()?)
    }

    /// Writes the generation down before anything of it runs.
    pub(super) fn stage_generation(&mut self) -> Result<Done, ChangeError> {
        self.keep(&self.generation()?)?;
        Ok(Done::now())
    }

    pub(super) fn undo_write_site(&mut self) -> Result<(), ChangeError> {
        let Some(previous) = &self.previous else {
            return Ok(());
        };
        Ok(self.appliance.write_site(&previous.site_text)?)
    }

    pub(super) fn intend(&mut self, run: &str) -> Result<Done, ChangeError> {
        self.write_state(Status::Installing, run)?;
        Ok(Done::now())
    }

    pub(super) fn commit(&mut self, run: &str) -> Result<Done, ChangeError> {
        self.write_state(Status::Installed, run)?;
        Ok(Done::now())
    }

    pub(super) fn record_stopped(
        &mut self,
        stopped: &BTreeSet<String>,
    ) -> Result<Done, ChangeError> {
        let Some(mut state) = self.before.clone() else {
            return Ok(Done::already());
        };
        state.stopped.clone_from(stopped);
        state.updated = Timestamp::now();
        self.appliance.write_state(&state)?;
        Ok(Done::now())
    }

    /// Writes anew when the appliance was last changed, if that was by a clock
    /// that went ahead.
    ///
    /// # Errors
    ///
    /// Another lfctl is at work, or the file cannot be written.
    pub fn write_time_again(&mut self) -> Result<(), ChangeError> {
        let Some(before) = &self.before else {
            return Ok(());
        };
        if before.updated > Timestamp::now() {
            let run = before.run.clone();
            let _lock = self.appliance.lock()?;
            self.write_state(Status::Installed, &run)?;
        }
        Ok(())
    }

    pub(super) fn write_site(&mut self) -> Result<Done, ChangeError> {
        self.appliance.write_site(&self.target.site_text)?;
        Ok(Done::now())
    }

    pub(super) fn record_release(&mut self) -> Result<Done, ChangeError> {
        match self.bundle {
            Some(bundle) => release::record(self.paths, self.reporter, bundle)?,
            // What its signer says of keys waits for the bundle.
            None if self.target.key.is_some() => {
                let host = HostLock::lock(self.paths)?;
                host.record(&self.target.release, self.target.bundle)?;
            }
            None => return Ok(Done::already()),
        }
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
