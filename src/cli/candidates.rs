//! What a shell offers for a word: names of this host, and of what lfctl has.

use clap_complete::CompletionCandidate;

use super::context::paths;
use crate::appliance::Appliance;
use crate::check::CHECKS;
use crate::sys::paths::Paths;

/// The appliances of this host.
pub(super) fn appliances() -> Vec<CompletionCandidate> {
    let all = Appliance::all(&typed_paths()).unwrap_or_default();
    all.into_iter().map(CompletionCandidate::new).collect()
}

/// The services of the appliance that is named so far.
pub(super) fn services() -> Vec<CompletionCandidate> {
    let names = services_of(&typed_paths(), typed("--name")).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn services_of(paths: &Paths, name: Option<String>) -> Option<Vec<String>> {
    let name = match name {
        Some(name) => name,
        None => Appliance::all(paths).ok()?.into_iter().next()?,
    };
    let state = Appliance::named(paths, &name).ok()?.state().ok()??;
    let services = state.stack.services.into_iter();
    Some(services.map(|service| service.name).collect())
}

/// The checks of doctor, and their groups.
pub(super) fn checks() -> Vec<CompletionCandidate> {
    let mut groups: Vec<_> = CHECKS
        .iter()
        .filter_map(|check| check.id.split('.').next())
        .collect();
    groups.dedup();
    let groups = groups.into_iter().map(CompletionCandidate::new);
    let checks = CHECKS
        .iter()
        .map(|check| CompletionCandidate::new(check.id).help(Some(check.title.into())));
    groups.chain(checks).collect()
}

fn typed_paths() -> Paths {
    paths(typed("--root").as_deref().map(std::path::Path::new))
}

/// What was typed behind an option.
fn typed(option: &str) -> Option<String> {
    let line = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    value(line.skip_while(|word| word != "--").skip(1), option)
}

/// The value of an option. Some shells make three words of `--name=lf`.
fn value(mut line: impl Iterator<Item = String>, option: &str) -> Option<String> {
    while let Some(word) = line.next() {
        if word == option {
            return line.find(|word| word != "=");
        }
        let rest = word.strip_prefix(option);
        if let Some(value) = rest.and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn an_option_is_found_however_it_is_typed() {
        let of = |line: &str| value(line.split(' ').map(str::to_owned), "--name");
        for line in ["logs --name lf w", "logs --name=lf w", "logs --name = lf w"] {
            assert_eq!(of(line).as_deref(), Some("lf"), "{line}");
        }
        assert_eq!(of("logs --names lf"), None);
        assert_eq!(of("logs --name"), None);
    }
}
