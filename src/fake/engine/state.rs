//! What the engine holds, and how each call changes it.

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::engine::{
    Container, ContainerSpec, ContainerState, EngineError, EngineImage, EngineKind, ExecOutput,
    HealthState, LABEL_CONFIG, NetworkSpec, Owner, Reach, Resource,
};
use crate::stack::{JOB, Schema, SchemaKind};

/// What an engine holds, by kind and name: to compare what is left with what
/// was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Names of containers, and whether each runs.
    pub containers: BTreeMap<String, bool>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Tags of images.
    pub tags: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) images: BTreeMap<String, EngineImage>,
    pub(super) networks: BTreeMap<String, Resource>,
    pub(super) volumes: BTreeMap<String, Resource>,
    pub(super) containers: BTreeMap<String, Container>,
    /// The schemas that a migration job brings up, and whether one did.
    pub(super) schemas: Vec<Schema>,
    pub(super) migrated: bool,
    /// The exit code of jobs.
    pub(super) job_code: i64,
    /// Files by container and path.
    files: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Bytes of each archive that came.
    pub(super) archives: Vec<usize>,
    /// Whether it loads but the first image of an archive.
    pub(super) first_only: bool,
    made: u64,
}

pub(super) fn refused(action: &str, status: u16, message: &str) -> EngineError {
    EngineError::Refused {
        action: action.to_owned(),
        status: Some(status),
        message: message.to_owned(),
    }
}

impl State {
    pub(super) fn contents(&self) -> Contents {
        let runs = |one: &Container| one.state == ContainerState::Running;
        let mut tags: Vec<_> = self.images.values().flat_map(|i| i.tags.clone()).collect();
        tags.sort();
        Contents {
            containers: self
                .containers
                .values()
                .map(|one| (one.name.clone(), runs(one)))
                .collect(),
            networks: self.networks.keys().cloned().collect(),
            volumes: self.volumes.keys().cloned().collect(),
            tags,
        }
    }

    pub(super) fn image(&self, reference: &str) -> Option<EngineImage> {
        let named = |image: &&EngineImage| image.tags.iter().any(|tag| tag == reference);
        let image = self.images.get(reference);
        image.or_else(|| self.images.values().find(named)).cloned()
    }

    pub(super) fn load(&mut self, images: Vec<EngineImage>) {
        let limit = if self.first_only { 1 } else { usize::MAX };
        for image in images.into_iter().take(limit) {
            for tag in &image.tags {
                self.drop_tag(tag);
            }
            let id = image.id.clone();
            let held = self.images.entry(id).or_insert_with(|| EngineImage {
                tags: Vec::new(),
                ..image.clone()
            });
            held.tags.extend(image.tags);
        }
    }

    fn drop_tag(&mut self, tag: &str) {
        for image in self.images.values_mut() {
            image.tags.retain(|held| held != tag);
        }
    }

    pub(super) fn tag(&mut self, id: &str, tag: &str) -> Result<(), EngineError> {
        self.drop_tag(tag);
        let image = self.images.get_mut(id);
        let image = image.ok_or_else(|| refused("tag an image", 404, "no such image"))?;
        image.tags.push(tag.to_owned());
        Ok(())
    }

    pub(super) fn untag(&mut self, tag: &str) -> Result<(), EngineError> {
        let Some(image) = self.image(tag) else {
            return Ok(());
        };
        let used = self.containers.values().any(|one| one.image == image.id);
        if used && image.tags.len() == 1 {
            return Err(refused("remove an image", 409, "a container uses it"));
        }
        self.drop_tag(tag);
        self.images.retain(|_, image| !image.tags.is_empty());
        Ok(())
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> Result<(), EngineError> {
        if self.networks.contains_key(&spec.name) {
            return Err(refused("make a network", 409, "it exists already"));
        }
        let made = Resource {
            name: spec.name.clone(),
            labels: spec.labels(),
            internal: spec.reach == Reach::Siblings,
            directory: None,
        };
        self.networks.insert(spec.name.clone(), made);
        Ok(())
    }

    pub(super) fn remove_network(&mut self, name: &str) -> Result<(), EngineError> {
        let used = |one: &Container| one.addresses.contains_key(name);
        if self.containers.values().any(used) {
            return Err(refused("remove a network", 403, "it has endpoints"));
        }
        self.networks.remove(name);
        Ok(())
    }

    pub(super) fn create_volume(&mut self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        if self.volumes.contains_key(name) {
            return Err(refused("make a volume", 409, "it exists already"));
        }
        let made = Resource {
            name: name.to_owned(),
            labels: owner.labels(),
            internal: false,
            directory: None,
        };
        self.volumes.insert(name.to_owned(), made);
        Ok(())
    }

    pub(super) fn put_files(&mut self, name: &str, tar: &[u8]) -> Result<(), EngineError> {
        let action = "put files into a container";
        self.running(action, name)?;
        let put = |error: std::io::Error| refused(action, 500, &error.to_string());
        let files = self.files.entry(name.to_owned()).or_default();
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries().map_err(put)? {
            let mut entry = entry.map_err(put)?;
            let path = format!("/{}", entry.path().map_err(put)?.display());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(put)?;
            files.insert(path, content);
        }
        Ok(())
    }

    /// A file of a container as a tar, as engines give it.
    pub(super) fn file(&mut self, name: &str, path: &str) -> Result<Vec<u8>, EngineError> {
        let action = format!("read `{path}`");
        self.running(&action, name)?;
        let content = self.files.get(name).and_then(|files| files.get(path));
        let content = content.ok_or_else(|| refused(&action, 404, "no such file"))?;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let last = path.rsplit('/').next().unwrap_or(path);
        archive
            .append_data(&mut header, last, content.as_slice())
            .and_then(|()| archive.into_inner())
            .map_err(|error| refused(&action, 500, &error.to_string()))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), EngineError> {
        let action = "rename a container";
        if self.containers.contains_key(to) {
            return Err(refused(action, 409, "the name is taken"));
        }
        to.clone_into(&mut self.running(action, from)?.name);
        if let Some(container) = self.containers.remove(from) {
            self.containers.insert(to.to_owned(), container);
        }
        if let Some(files) = self.files.remove(from) {
            self.files.insert(to.to_owned(), files);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.containers.remove(name);
        self.files.remove(name);
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let action = format!("make container `{}`", spec.name);
        if self.containers.contains_key(&spec.name) {
            return Err(refused(&action, 409, "it exists already"));
        }
        if !self.images.contains_key(&spec.image) {
            return Err(refused(&action, 404, "no such image"));
        }
        let missing = |(network, _): &&(String, Vec<String>)| !self.networks.contains_key(network);
        if let Some((network, _)) = spec.networks.iter().find(missing) {
            return Err(refused(&action, 404, &format!("no network {network}")));
        }
        self.made += 1;
        let mut labels = spec.owner.labels();
        labels.insert(LABEL_CONFIG.to_owned(), spec.config_hash.clone());
        let address = |(index, (name, _)): (usize, &(String, Vec<String>))| {
            (name.clone(), format!("192.0.2.{}", index + 1))
        };
        let container = Container {
            id: format!("{:064x}", self.made),
            name: spec.name.clone(),
            image: spec.image.clone(),
            labels,
            state: ContainerState::Created,
            health: None,
            health_output: None,
            restarts: 0,
            restart_policy: spec
                .restart
                .then(|| EngineKind::Docker.restart_policy().to_owned()),
            exit_code: None,
            oom_killed: false,
            started_at: None,
            addresses: spec.networks.iter().enumerate().map(address).collect(),
            ports: BTreeMap::new(),
            pid: None,
            env: Vec::new().into(),
            extra_hosts: spec.extra_hosts.clone(),
            stop_timeout: None,
        };
        self.containers.insert(spec.name.clone(), container);
        Ok(())
    }

    pub(super) fn running(
        &mut self,
        action: &str,
        name: &str,
    ) -> Result<&mut Container, EngineError> {
        let container = self.containers.get_mut(name);
        container.ok_or_else(|| refused(action, 404, "no such container"))
    }

    pub(super) fn start(&mut self, name: &str) -> Result<(), EngineError> {
        let container = self.running("start a container", name)?;
        container.state = ContainerState::Running;
        container.health = Some(HealthState::Healthy);
        Ok(())
    }

    pub(super) fn stop(&mut self, name: &str) -> Result<(), EngineError> {
        let container = self.running("stop a container", name)?;
        container.state = ContainerState::Exited;
        container.health = None;
        container.exit_code = Some(0);
        Ok(())
    }

    pub(super) fn wait(&mut self, name: &str) -> Result<i64, EngineError> {
        let is_job = name.ends_with(&format!("-{JOB}"));
        let code = if is_job { self.job_code } else { 0 };
        let container = self.running("wait for a container", name)?;
        if container.state == ContainerState::Created {
            return Err(refused("wait for a container", 409, "it was never started"));
        }
        container.state = ContainerState::Exited;
        container.exit_code = Some(code);
        self.migrated |= is_job && code == 0;
        Ok(code)
    }

    /// What a query for the state of a schema prints.
    pub(super) fn exec(&self, name: &str) -> Result<ExecOutput, EngineError> {
        let runs = |one: &Container| one.state == ContainerState::Running;
        if !self.containers.get(name).is_some_and(runs) {
            return Err(refused("run a command", 409, "container is not running"));
        }
        let asked = |schema: &&Schema| name.ends_with(&format!("-{}", schema.service));
        let stdout = match self.schemas.iter().find(asked) {
            Some(schema) if self.migrated => match schema.kind {
                SchemaKind::Prisma => format!("applied\t{}\nlast\t{}\n", schema.count, schema.last),
                SchemaKind::GolangMigrate => format!("{}\t0\n", schema.last),
            },
            _ => String::new(),
        };
        Ok(ExecOutput {
            code: 0,
            stdout,
            stderr: String::new(),
        })
    }
}
