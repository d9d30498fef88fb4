//! The fake as an engine: every call is counted, and may be hit by a fault.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;

use super::archive;
use super::fault::Fault;
use super::state::{Contents, State, refused};
use crate::engine::{
    Container, ContainerEngine, ContainerSpec, Containers, EngineError, EngineFacts, EngineImage,
    EngineKind, ExecAndLogs, ExecOutput, Images, LoadBody, NetworkSpec, NetworksAndVolumes, Owner,
    Resource, SaveBody,
};
use crate::stack::Schema;

/// An engine in memory.
#[derive(Debug, Default)]
pub struct FakeEngine {
    pub(super) state: Mutex<State>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    names: Vec<&'static str>,
    fault: Option<(usize, Fault)>,
    hung: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeEngine {
    /// An empty engine whose migration jobs bring these schemas up.
    pub fn new(schemas: Vec<Schema>) -> Self {
        let engine = Self::default();
        lock(&engine.state).schemas = schemas;
        engine
    }

    /// Lets `fault` befall the call of this number, counted from now on.
    pub fn fail_call(&self, number: usize, fault: Fault) {
        *lock(&self.calls) = Calls {
            fault: Some((number, fault)),
            ..Calls::default()
        };
    }

    /// Forgets the calls so far and any fault.
    pub fn heal(&self) {
        *lock(&self.calls) = Calls::default();
    }

    /// The calls since the last fault was set, by name.
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).names.clone()
    }

    /// Whether a call hangs.
    pub fn hangs(&self) -> bool {
        lock(&self.calls).hung
    }

    /// What it holds.
    pub fn contents(&self) -> Contents {
        lock(&self.state).contents()
    }

    /// Makes a container unhealthy for good, or well again.
    pub fn set_health(&self, container: &str, health: crate::engine::HealthState) {
        if let Some(container) = lock(&self.state).containers.get_mut(container) {
            container.health = Some(health);
        }
    }

    /// Changes what the engine says of a container.
    pub fn change_container(&self, container: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = lock(&self.state).containers.get_mut(container) {
            change(container);
        }
    }

    /// Changes what the engine says of a network.
    pub fn change_network(&self, network: &str, change: impl FnOnce(&mut Resource)) {
        if let Some(network) = lock(&self.state).networks.get_mut(network) {
            change(network);
        }
    }

    /// Lets jobs end with this code from now on; only 0 brings schemas up.
    pub fn end_jobs_with(&self, code: i64) {
        lock(&self.state).job_code = code;
    }

    async fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let fault = {
            let mut calls = lock(&self.calls);
            let number = calls.names.len();
            calls.names.push(name);
            let fault = calls.fault.filter(|(at, _)| *at == number);
            let fault = fault.map(|(_, fault)| fault);
            calls.hung |= fault.is_some_and(Fault::hangs);
            fault
        };
        let Some(fault) = fault else {
            return work(&mut lock(&self.state));
        };
        if fault.is_carried_out() {
            // Whatever comes of it, nobody hears.
            let _ = work(&mut lock(&self.state));
        }
        if fault.hangs() {
            return std::future::pending().await;
        }
        Err(match fault {
            Fault::AnswerLost => EngineError::Unreachable {
                socket: "fake".to_owned(),
                source: "the connection was closed".into(),
            },
            _ => refused(name, 500, "a fault was asked for"),
        })
    }
}

impl ContainerEngine for FakeEngine {
    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        self.call("facts", |_| {
            Ok(EngineFacts {
                kind: EngineKind::Docker,
                version: "20.10.24".to_owned(),
                api_version: "1.41".to_owned(),
                storage_driver: "overlay2".to_owned(),
                containerd_store: false,
                // Its containers have no addresses that anybody could reach.
                rootless: true,
                data_root: "/".to_owned(),
                containerd: None,
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                cpus: 4,
                memory: 16 << 30,
                cgroup_version: "2".to_owned(),
                proxies: Vec::new(),
                socket: "fake".to_owned(),
            })
        })
        .await
    }
}

impl Images for FakeEngine {
    async fn image(&self, reference: &str) -> Result<Option<EngineImage>, EngineError> {
        self.call("image", |state| Ok(state.image(reference))).await
    }

    async fn images(&self, pattern: &str) -> Result<Vec<EngineImage>, EngineError> {
        let start = pattern.trim_end_matches('*');
        self.call("images", |state| {
            let matches = |image: &&EngineImage| image.tags.iter().any(|t| t.starts_with(start));
            Ok(state.images.values().filter(matches).cloned().collect())
        })
        .await
    }

    async fn load(&self, what: &str, mut body: LoadBody) -> Result<(), EngineError> {
        let mut tar = Vec::new();
        let failed = |message: String| EngineError::Load {
            what: what.to_owned(),
            message,
        };
        while let Some(chunk) = body.next().await {
            tar.extend_from_slice(&chunk.map_err(|error| failed(error.to_string()))?);
        }
        let images = archive::images(&tar);
        self.call("load", |state| {
            state.archives.push(tar.len());
            state.load(images.ok_or_else(|| failed("not an archive".to_owned()))?);
            Ok(())
        })
        .await
    }

    fn save(&self, _references: &[String]) -> Result<SaveBody, EngineError> {
        Err(refused("save images", 501, "a fake holds no layers"))
    }

    async fn tag(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        self.call("tag", |state| state.tag(id, reference)).await
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        self.call("untag", |state| state.untag(reference)).await
    }
}

impl NetworksAndVolumes for FakeEngine {
    async fn networks(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let labels = |one: &Resource| one.labels.clone();
        self.call("networks", |state| {
            let all = state.networks.values();
            Ok(owned(all, labels, appliance))
        })
        .await
    }

    async fn network(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        self.call("network", |state| Ok(state.networks.get(name).cloned()))
            .await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        self.call("create-network", |state| state.create_network(spec))
            .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.call("remove-network", |state| state.remove_network(name))
            .await
    }

    async fn volumes(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let labels = |one: &Resource| one.labels.clone();
        self.call("volumes", |state| {
            let all = state.volumes.values();
            Ok(owned(all, labels, appliance))
        })
        .await
    }

    async fn volume(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        self.call("volume", |state| Ok(state.volumes.get(name).cloned()))
            .await
    }

    async fn create_volume(&self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        self.call("create-volume", |state| state.create_volume(name, owner))
            .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.call("remove-volume", |state| {
            state.volumes.remove(name);
            Ok(())
        })
        .await
    }
}

fn owned<'a, T: Clone + 'a>(
    all: impl Iterator<Item = &'a T>,
    labels: impl Fn(&T) -> std::collections::BTreeMap<String, String>,
    appliance: &str,
) -> Vec<T> {
    let is_own = |one: &&T| {
        let labels = labels(one);
        labels
            .get(crate::engine::LABEL_APPLIANCE)
            .is_some_and(|name| name == appliance)
    };
    all.filter(is_own).cloned().collect()
}

impl Containers for FakeEngine {
    async fn containers(&self, appliance: &str) -> Result<Vec<Container>, EngineError> {
        let labels = |one: &Container| one.labels.clone();
        self.call("containers", |state| {
            let all = state.containers.values();
            Ok(owned(all, labels, appliance))
        })
        .await
    }

    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError> {
        self.call("container", |state| Ok(state.containers.get(name).cloned()))
            .await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.call("create", |state| state.create(spec)).await
    }

    async fn upload(&self, container: &str, tar: Vec<u8>) -> Result<(), EngineError> {
        self.call("upload", |state| state.put_files(container, &tar))
            .await
    }

    async fn download(&self, container: &str, path: &str) -> Result<SaveBody, EngineError> {
        let tar = self
            .call("download", |state| state.file(container, path))
            .await?;
        Ok(futures_util::stream::iter([Ok(tar.into())]).boxed())
    }

    async fn unpack(&self, container: &str, _path: &str, tar: LoadBody) -> Result<(), EngineError> {
        drain("put files into a container", Some(tar)).await?;
        self.call("unpack", |state| {
            state.running("put files into a container", container)?;
            Ok(())
        })
        .await
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        self.call("start", |state| state.start(container)).await
    }

    async fn stop(&self, container: &str, _timeout: Duration) -> Result<(), EngineError> {
        self.call("stop", |state| state.stop(container)).await
    }

    async fn signal(&self, container: &str, _signal: &str) -> Result<(), EngineError> {
        self.call("signal", |state| {
            state.running("send a signal", container)?;
            Ok(())
        })
        .await
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.call("remove", |state| {
            state.remove(container);
            Ok(())
        })
        .await
    }

    async fn rename(&self, container: &str, name: &str) -> Result<(), EngineError> {
        self.call("rename", |state| state.rename(container, name))
            .await
    }

    async fn wait(&self, container: &str) -> Result<i64, EngineError> {
        self.call("wait", |state| state.wait(container)).await
    }
}

impl ExecAndLogs for FakeEngine {
    async fn logs(
        &self,
        _container: &str,
        _tail: usize,
        _since: Option<i64>,
    ) -> Result<String, EngineError> {
        self.call("logs", |_| Ok(String::new())).await
    }

    async fn timed_logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError> {
        self.logs(container, tail, since).await
    }

    async fn exec(
        &self,
        container: &str,
        _command: &[String],
        _limit: Duration,
    ) -> Result<ExecOutput, EngineError> {
        self.call("exec", |state| state.exec(container)).await
    }

    /// Prints nothing.
    async fn run(
        &self,
        container: &str,
        _command: &[String],
        input: Option<LoadBody>,
    ) -> Result<SaveBody, EngineError> {
        drain("run a command", input).await?;
        self.call("run", |state| {
            state.running("run a command", container)?;
            Ok(futures_util::stream::empty().boxed())
        })
        .await
    }
}

/// Takes all of a stream, whose error is the call's.
async fn drain(action: &'static str, body: Option<LoadBody>) -> Result<(), EngineError> {
    let Some(mut body) = body else { return Ok(()) };
    while let Some(piece) = body.next().await {
        piece.map_err(|error| refused(action, 500, &error.to_string()))?;
    }
    Ok(())
}
