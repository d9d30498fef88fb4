//! Keys that may have been meant.

/// The key that was probably meant.
pub(super) fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut best: Vec<_> = known
        .iter()
        .map(|known| (strsim::osa_distance(name, known), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .collect();
    best.sort_unstable();
    best.first().map(|(_, known)| *known)
}
