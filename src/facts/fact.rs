//! A value, or the reason why it is not known.

use std::error::Error;

use crate::sys::text::chain;

/// Something that is known, or the reason why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    Known(T),
    /// Could not be found out.
    Unknown(String),
}

impl<T> Fact<T> {
    /// A fact that nobody asked for.
    pub fn not_asked() -> Self {
        Self::Unknown("not asked for".to_owned())
    }

    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The value, or why it is not known.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(why) => Err(why),
        }
    }
}

impl<T, E: Error> From<Result<T, E>> for Fact<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;
    use crate::langfuse::query::QueryError;

    #[test]
    fn an_unknown_fact_says_the_whole_chain() {
        let error = QueryError::Engine(EngineError::Refused {
            action: "run a command".to_owned(),
            status: Some(409),
            message: "container is not running".to_owned(),
        });
        let fact: Fact<()> = Err::<(), _>(error).into();
        assert_eq!(
            fact.as_result(),
            Err(
                "the engine gave no answer: engine refused to run a command: container is not running"
            )
        );
    }
}
