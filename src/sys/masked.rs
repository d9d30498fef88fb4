//! Values that hold secrets and must not be shown by accident.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A value whose `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Masked<T>(pub T);

impl<T> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[masked]")
    }
}

impl<T> From<T> for Masked<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Masked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Masked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
