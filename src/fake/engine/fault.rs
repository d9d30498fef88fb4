//! What can befall a call.

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The engine refuses it and does nothing.
    Refused,
    /// The engine does it, and its answer is lost.
    AnswerLost,
    /// The engine never answers and does nothing: the client is killed.
    HangsBefore,
    /// The engine does it and never answers: the client is killed.
    HangsAfter,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::Refused,
        Self::AnswerLost,
        Self::HangsBefore,
        Self::HangsAfter,
    ];

    /// Whether the engine does what it was asked for.
    pub(super) fn is_carried_out(self) -> bool {
        matches!(self, Self::AnswerLost | Self::HangsAfter)
    }

    /// Whether the client waits without end.
    pub(super) fn hangs(self) -> bool {
        matches!(self, Self::HangsBefore | Self::HangsAfter)
    }
}
