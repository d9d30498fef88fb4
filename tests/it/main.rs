//! Integration tests: one binary, so that it links once.
//
// `cfg(test)` tells clippy that helpers in these modules are tests too.

#[cfg(test)]
mod airgap;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod countersign;
mod day;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod journey;
mod json;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod load;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod password;
#[cfg(test)]
mod program;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod reboot;
#[cfg(test)]
mod receipt;
#[cfg(test)]
mod refusals;
#[cfg(test)]
#[cfg(feature = "pull")]
mod registry;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod specs;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod wall;
