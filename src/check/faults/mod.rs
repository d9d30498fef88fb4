//! One spoiled fact at a time, and what must be found then.

mod backup;
mod before;
mod beneath;
mod data;
mod egress;
mod host;
mod stack;
mod table;
mod tests;
mod tls;

pub(crate) use tests::remedies;
