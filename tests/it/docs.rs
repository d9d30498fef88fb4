//! The README and the changelog tell the truth about the program.

use std::path::Path;

use clap::CommandFactory;
use fs_err as fs;
use lfctl::cli::Cli;
use lfctl::cli::failure::Kind;
use lfctl::sys::paths::Paths;

fn read(name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_readme_lists_every_exit_code_and_no_other() {
    let readme = read("README.md");
    let listed: Vec<u8> = readme
        .lines()
        .skip_while(|line| !line.starts_with("## Exit codes"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            line.strip_prefix('|')?
                .split('|')
                .next()?
                .trim()
                .parse()
                .ok()
        })
        .collect();
    let mut codes: Vec<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
    codes.insert(0, 0);
    assert_eq!(listed, codes);
}

#[test]
fn the_readme_lists_the_files_that_lfctl_keeps() {
    let readme = read("README.md");
    let table: Vec<_> = readme
        .lines()
        .skip_while(|line| *line != "## Files")
        .take_while(|line| *line != "## Exit codes")
        .collect();
    let paths = Paths::below(Path::new("/"));
    for path in [
        paths.site("<name>"),
        paths.trusted_keys().join("*.pub"),
        paths.revoked_keys(),
        paths.trust_policy(),
        paths.releases(),
        paths.state_dir("<name>").join("secrets.toml"),
        paths.state_dir("<name>").join("state.json"),
        paths.audit_log("<name>"),
        paths.audit_log("_host"),
    ] {
        let cell = format!("| `{}`", path.display());
        let listed = table.iter().any(|line| line.starts_with(&cell));
        assert!(listed, "no row begins with {cell}");
    }
}

#[test]
fn the_changelog_knows_this_version() {
    let changelog = read("CHANGELOG.md");
    assert_eq!(wrong_with(&changelog, env!("CARGO_PKG_VERSION")), None);
    // That it can be wrong at all.
    for (text, version) in [
        ("## [Unreleased]\n\n### Added\n", "0.1.0"),
        ("## [Unreleased]\n\n- a\n\n## [0.2.0]\n\n- b\n", "0.1.0"),
        (
            "## [Unreleased]\n\n- a\n\n## [0.1.0]\n\n- b\n\n## [0.2.0]\n\n- c\n",
            "0.2.0",
        ),
        ("## [0.1.0]\n\n- a\n", "0.2.0"),
        ("## [next]\n\n- a\n", "0.1.0"),
    ] {
        assert!(wrong_with(text, version).is_some(), "{version}: {text}");
    }
}

/// Why a changelog does not speak of `version`: what is not released comes
/// first, then releases from the newest down, none of them later.
fn wrong_with(changelog: &str, version: &str) -> Option<String> {
    let version: semver::Version = version.parse().unwrap();
    let changelog = format!("\n{changelog}");
    let sections = changelog.split("\n## [").skip(1);
    let mut unreleased = false;
    let mut released = Vec::new();
    for (place, section) in sections.enumerate() {
        let Some((name, rest)) = section.split_once(']') else {
            return Some(format!("no heading: {section}"));
        };
        match name.parse::<semver::Version>() {
            Ok(name) => released.push(name),
            Err(_) if name == "Unreleased" && place == 0 => unreleased = rest.contains("\n- "),
            Err(error) => return Some(format!("`{name}`: {error}")),
        }
    }
    if !released.is_sorted_by(|newer, older| newer > older) {
        return Some("releases are not in order".to_owned());
    }
    match released.first() {
        Some(newest) if *newest > version => Some(format!("{newest} is not out yet")),
        Some(newest) if *newest == version => None,
        _ if unreleased => None,
        _ => Some(format!("nothing is said of {version}")),
    }
}

#[test]
fn the_readme_names_only_commands_that_exist() {
    let mut cli = Cli::command();
    cli.build();
    let readme = read("README.md");
    let mut checked = 0;
    let mut in_block = false;
    for line in readme.lines() {
        in_block ^= line.starts_with("```");
        if !in_block || !line.starts_with("lfctl ") {
            continue;
        }
        let mut command = &cli;
        for word in line.split_whitespace().skip(1) {
            match command.find_subcommand(word) {
                Some(sub) => command = sub,
                None => break,
            }
        }
        assert!(!command.has_subcommands(), "`{line}` names no command");
        let is_known = |flag: &str| {
            command
                .get_arguments()
                .any(|argument| argument.get_long() == Some(flag))
        };
        for flag in line
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("--"))
        {
            let flag = flag.split('=').next().unwrap_or(flag);
            assert!(is_known(flag), "`{line}`: there is no --{flag}");
        }
        checked += 1;
    }
    assert!(checked >= 5, "the README shows only {checked} commands");
}

/// Text between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The commands of a page: lines of its code blocks, and of the runbook's
/// tables and sentences what stands in backticks.
fn commands(page: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in page.lines() {
        in_block ^= line.starts_with("```");
        if in_block {
            found.extend(line.starts_with("lfctl ").then_some(line));
        } else {
            found.extend(quoted(line).filter(|text| text.starts_with("lfctl ")));
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_runbook_is_one_that_lfctl_takes() {
    let parse = |line: &str| {
        let words = shell_words::split(line).unwrap();
        let redirected = words.iter().position(|word| word == ">");
        let words = &words[..redirected.unwrap_or(words.len())];
        Cli::command().try_get_matches_from(words).map(drop)
    };
    let commands = commands(&read("docs/runbook.md"));
    for line in &commands {
        // `lfctl help` prints and is no failure of the line.
        match parse(line) {
            Ok(()) => {}
            Err(error) if !error.use_stderr() => {}
            #[cfg(not(feature = "pull"))]
            Err(_) if line.starts_with("lfctl bundle create") => {}
            Err(error) => panic!("{line}: {error}"),
        }
    }
    assert!(commands.len() > 50, "only {} commands", commands.len());
    // That it can say no.
    assert!(parse("lfctl backup drill --snapshots a").is_err());
    assert!(parse("lfctl doctor extra").is_err());
}

/// The subcommand that a line of a page names, and what is left of it.
fn named<'a>(cli: &'a clap::Command, line: &str) -> (&'a clap::Command, Vec<String>) {
    let synopsis = line.replace(['[', ']', '|', ','], " ");
    let mut command = cli;
    let mut rest = Vec::new();
    for word in synopsis.split_whitespace().skip(1) {
        match command.find_subcommand(word) {
            Some(sub) if rest.is_empty() => command = sub,
            _ => rest.push(word.to_owned()),
        }
    }
    (command, rest)
}

#[test]
fn every_page_names_only_options_that_exist() {
    let mut cli = Cli::command();
    cli.build();
    let mut checked = 0;
    for entry in fs::read_dir(format!("{}/docs", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        for line in commands(&fs::read_to_string(&path).unwrap()) {
            let (command, rest) = named(&cli, &line);
            let options = rest.iter().filter_map(|word| word.strip_prefix("--"));
            for option in options.filter(|option| !option.is_empty()) {
                let option = option.split('=').next().unwrap_or(option);
                let is_known = ["help", "version"].contains(&option)
                    || command
                        .get_arguments()
                        .any(|argument| argument.get_long() == Some(option));
                assert!(is_known, "{}: `{line}`: no --{option}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 150, "only {checked} commands");
}

#[test]
fn every_attack_has_tests_that_exist() {
    let text = read("docs/security.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter(|line| !line.starts_with("| attack |"));
    let mut checked = 0;
    for row in rows {
        let cells: Vec<_> = row.split(" | ").collect();
        let tests: Vec<_> = quoted(cells.last().unwrap()).collect();
        assert!(!tests.is_empty(), "no test in: {row}");
        for test in tests {
            assert!(exists(test), "there is no test `{test}`");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} tests are named");
}

/// Whether a test of this path is where its modules say.
fn exists(test: &str) -> bool {
    let (module, function) = test.rsplit_once("::").unwrap();
    let roots = match module.strip_suffix("::tests") {
        Some(module) => vec![format!("src/{module}")],
        None => vec![format!("tests/it/{module}"), format!("src/{module}")],
    };
    let ends = [".rs", "/mod.rs", "/tests.rs"];
    let files = roots.iter().flat_map(|root| {
        let root = root.replace("::", "/");
        ends.map(|end| format!("{root}{end}"))
    });
    files.into_iter().any(|file| {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let source = fs::read_to_string(path).unwrap_or_default();
        source.contains(&format!("fn {function}("))
    })
}
