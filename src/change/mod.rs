//! Changing what a host runs.
//!
//! A change is a list of steps ([`plan`]), made from what was observed and
//! what is wanted. The [`runner`] does them one by one, each announced in the
//! journal before it touches anything. Every step may be run again, so that an
//! interrupted change is finished by running it once more, or taken back.
//!
//! ```text
//! observe   what is there            ->  observed   the same as values
//! install   uninstall                the plans
//! step      the steps of an install  ->  steps/     what each of them does
//! ```

pub mod backup;
mod blueprint;
mod bring_up;
mod error;
mod fit;
pub mod install;
pub mod leftovers;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod power;
pub mod recover;
pub mod release;
pub mod restore;
pub mod runner;
mod step;
mod steps;
mod stop;
mod stores;
mod turn;
pub mod uninstall;
pub mod upgrade;

pub use blueprint::{Blueprint, SiteInput};
pub use bring_up::BringUp;
pub use error::{ChangeError, JobLog};
pub use step::Step;
pub use steps::update_check;
