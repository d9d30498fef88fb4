//! Names that engines and templates take.

/// Longest name of a service, volume or secret.
pub const LONGEST_NAME: usize = 30;

/// Whether a name can be part of an engine's names and of a template.
pub fn is_legal_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
