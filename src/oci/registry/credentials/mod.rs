//! Logins as Docker and Podman keep them: in files, or with a credential
//! helper.
//!
//! Nothing is read or asked before a registry wants a login. What is found
//! that cannot be used, such as a helper that is not installed, is no reason
//! to stop: as with Docker's own client the registry is asked without a login,
//! and only its refusal tells what was wrong.

mod file;
mod helper;
mod login;

use std::fmt;
use std::io;
use std::path::PathBuf;

use fs_err as fs;

use file::LoginFile;
use helper::ask;
pub(super) use login::Login;
use login::{DOCKER_HOSTS, DOCKER_HUB};

/// A login, and how to say which it is.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) login: Login,
    /// Such as "user `a` in `~/.docker/config.json`".
    pub(super) origin: String,
}

/// What is known of a registry.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    pub(super) known: Option<Known>,
    /// What is there and cannot be used.
    pub(super) problems: Vec<String>,
}

/// Where logins are kept.
#[derive(Clone)]
enum Place {
    /// A file that may not be there.
    File(PathBuf),
    /// What was in one.
    Read(LoginFile),
}

/// Logins by registry, in the files of this host.
#[derive(Clone, Default)]
pub struct Credentials {
    places: Vec<Place>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for place in &self.places {
            match place {
                Place::File(path) => list.entry(path),
                Place::Read(file) => list.entry(file),
            };
        }
        list.finish()
    }
}

impl Credentials {
    /// The files in which Docker and Podman keep the logins of this user, in
    /// the order in which they count.
    pub fn of_user() -> Self {
        Self::of_files(paths(|name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        }))
    }

    /// Logins out of these files; one that is not there holds none.
    pub fn of_files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            places: paths.into_iter().map(Place::File).collect(),
        }
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// What is wrong with it as a whole. An entry that cannot be used costs
    /// only itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file = LoginFile::parse("config.json", text)?;
        Ok(Self {
            places: vec![Place::Read(file)],
        })
    }

    /// What is known of a registry, for one of its repositories.
    pub(super) async fn of(&self, registry: &str, repository: &str) -> Looked {
        let mut looked = Looked::default();
        for place in &self.places {
            let file = match place {
                Place::Read(file) => file.clone(),
                Place::File(path) => match read(path) {
                    Ok(Some(file)) => file,
                    Ok(None) => continue,
                    Err(problem) => {
                        looked.problems.push(problem);
                        continue;
                    }
                },
            };
            looked.known = of_file(&file, registry, repository, &mut looked.problems).await;
            if looked.known.is_some() {
                break;
            }
        }
        looked
    }
}

/// The helper of a file, then its own entries.
async fn of_file(
    file: &LoginFile,
    registry: &str,
    repository: &str,
    problems: &mut Vec<String>,
) -> Option<Known> {
    if let Some(helper) = file.helper(registry) {
        let key = if DOCKER_HOSTS.contains(&registry) {
            DOCKER_HUB
        } else {
            registry
        };
        match ask(helper.name, key).await {
            Ok(Some(login)) => {
                let origin = login.origin(&format!("`docker-credential-{}`", helper.name));
                return Some(Known { login, origin });
            }
            Ok(None) => {}
            Err(problem) => problems.push(format!(
                "`docker-credential-{}`, which `{}` in `{}` names, gives no login for {registry}: \
                 {problem}",
                helper.name, helper.setting, file.name
            )),
        }
    }
    let (key, entry) = file.entry(registry, repository)?;
    match entry {
        Ok(login) => Some(Known {
            login: login.clone(),
            origin: login.origin(&format!("`{}`", file.name)),
        }),
        Err(problem) => {
            problems.push(format!(
                "the entry of `{key}` in `{}` cannot be used: {problem}",
                file.name
            ));
            None
        }
    }
}

impl Login {
    fn origin(&self, place: &str) -> String {
        match self {
            Self::Password(user, _) => format!("user `{user}` in {place}"),
            Self::Identity(_) => format!("identity token in {place}"),
            Self::Bearer(_) => format!("token in {place}"),
        }
    }
}

fn read(path: &std::path::Path) -> Result<Option<LoginFile>, String> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => LoginFile::parse(&name, &text)
            .map(Some)
            .map_err(|problem| format!("`{name}` cannot be read: {problem}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Files that may hold logins.
fn paths(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = variable("HOME").or_else(std::env::home_dir);
    let below = |dir: &str| home.as_ref().map(|home| home.join(dir));
    let docker = variable("DOCKER_CONFIG").or_else(|| below(".docker"));
    let runtime = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| {
        let user = rustix::process::getuid().as_raw();
        PathBuf::from(format!("/run/containers/{user}"))
    });
    let config = variable("XDG_CONFIG_HOME").or_else(|| below(".config"));
    let runtime = if runtime.starts_with("/run/containers") {
        runtime.join("auth.json")
    } else {
        runtime.join("containers/auth.json")
    };
    [
        variable("REGISTRY_AUTH_FILE"),
        docker.map(|dir| dir.join("config.json")),
        Some(runtime),
        config.map(|dir| dir.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
