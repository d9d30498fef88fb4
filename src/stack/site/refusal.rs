//! Why a value is not taken.

/// Why a value is not taken, and what to write.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) remedy: String,
}

pub(super) fn refuse(reason: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal {
        reason: reason.into(),
        remedy: remedy.into(),
    }
}
