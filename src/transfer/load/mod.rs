//! The images of a bundle into the engine.
//!
//! An image counts as there only when id and diff ids are the signed ones.
//! What is missing is sent as archives that are made while they are sent, each
//! layer through a verifying reader: the first wrong byte ends the loading and
//! takes back what it brought. Neither HTTP 200 nor the end of
//! the stream proves anything; the engine is asked afterwards what it holds.
//!
//! An archive names an image only by lfctl's own tag, because engines move
//! a tag they are given without a word. That tag stays, so that nobody prunes
//! the image; the operator's reference comes on top where it is free, and
//! only once every image is there.

mod archive;
mod batch;
mod bring;
mod complete;
mod error;
mod held;
mod images;
mod inflate;
mod one;
mod order;
mod progress;
mod source;
mod stream;
mod tags;

pub use self::batch::batches;
pub use self::complete::missing_layers;
pub use self::error::LoadError;
pub use self::held::{chains, own_images};
pub use self::images::{Loaded, load_images};
pub use self::order::Chains;
pub use self::source::{ImageSource, OpenLayer, private_tag};

#[cfg(test)]
mod tests;
