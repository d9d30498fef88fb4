//! What tests of loading ask of the fake.

use super::contract::{FakeEngine, lock};

impl FakeEngine {
    /// Loads but the first image of each archive from now on.
    pub fn load_first_only(&self) {
        lock(&self.state).first_only = true;
    }

    /// Bytes of each archive that was sent to it.
    pub fn archives(&self) -> Vec<usize> {
        lock(&self.state).archives.clone()
    }
}
