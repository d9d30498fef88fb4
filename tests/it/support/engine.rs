//! A real engine, images made from nothing, and a guard that takes everything
//! away again, also when a test panics.

use lfctl::engine::{Containers, ExecAndLogs, Images, NetworksAndVolumes};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use lfctl::bundle::manifest::Layer;
use lfctl::engine::docker::Docker;
use lfctl::engine::{
    ContainerEngine, ContainerSpec, EngineFacts, EngineKind, EngineTarget, NetworkSpec, Owner,
    Reach, Resolver,
};
use lfctl::oci::digest::Digest;
use lfctl::report::event::{Event, Reporter, Silent};
use lfctl::transfer::load::{ImageSource, Loaded, OpenLayer, load_images, private_tag};
use serde_json::json;

use super::podman::Podman;

/// Names another engine to test than the first that answers.
const ENGINE: &str = "LFCTL_TEST_ENGINE";
pub(crate) const BUSYBOX: &str = "/bin/busybox";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A connection to the engine and a name nobody else uses.
pub(crate) struct Rig {
    pub(crate) engine: Docker,
    pub(crate) facts: EngineFacts,
    /// Name of the appliance; prefix of every object.
    pub(crate) name: String,
    /// Set where the engine is one of this rig's own. Dropped after the sweep.
    podman: Option<Podman>,
    /// Image references to be removed.
    references: Mutex<Vec<String>>,
    /// Objects that carry no label of ours, made by a command line.
    foreign: Mutex<Vec<Vec<String>>>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::over(&target(), None).await
    }

    /// The same over a Podman that nobody else uses.
    pub(crate) async fn podman() -> Self {
        let podman = Podman::serve();
        let target = EngineTarget::Socket(podman.socket());
        let rig = Self::over(&target, Some(podman)).await;
        assert_eq!(rig.facts.kind, EngineKind::Podman);
        rig
    }

    async fn over(target: &EngineTarget, podman: Option<Podman>) -> Self {
        let engine = Docker::connect(target).await.unwrap();
        let facts = engine.facts().await.unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            engine,
            facts,
            name: format!("lfctl-it-{}-{count}", std::process::id()),
            podman,
            references: Mutex::default(),
            foreign: Mutex::default(),
        }
    }

    /// Fails on an engine that a layer it already has must be sent again.
    pub(crate) fn must_take_partial_archives(&self) {
        assert!(
            self.facts.kind == EngineKind::Docker && !self.facts.containerd_store,
            "needs Docker with its classic image store"
        );
    }

    pub(crate) fn owner(&self, part: &str) -> Owner {
        Owner {
            appliance: self.name.clone(),
            part: part.to_owned(),
        }
    }

    pub(crate) fn named(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// A source of these layers, from the base up, whose objects are removed
    /// with the rig.
    pub(crate) fn image(&self, name: &str, layers: &[&TestLayer]) -> ImageSource {
        let config = json!({
            "architecture": self.facts.architecture,
            "os": "linux",
            "config": { "Env": ["PATH=/bin"], "Labels": { "rig": self.named(name) } },
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| layer.meta.diff_id).collect::<Vec<_>>(),
            },
        });
        let config = Bytes::from(config.to_string());
        let descriptor = |media_type: &str, digest: Digest, size: u64| json!({ "mediaType": media_type, "digest": digest, "size": size });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(
                "application/vnd.oci.image.config.v1+json",
                Digest::of(&config),
                config.len() as u64,
            ),
            "layers": layers
                .iter()
                .map(|layer| descriptor(&layer.meta.media_type, layer.meta.digest, layer.meta.size))
                .collect::<Vec<_>>(),
        });
        let manifest = Bytes::from(manifest.to_string());
        let blobs: BTreeMap<_, _> = layers
            .iter()
            .map(|layer| (layer.meta.digest, layer.blob.clone()))
            .collect();
        let open: OpenLayer = Arc::new(move |digest| {
            let blob = blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(io::Cursor::new(blob.clone())) as Box<dyn Read + Send>)
        });
        let reference = format!("registry.test/{}:1", self.named(name));
        let config_digest = Digest::of(&config);
        self.forget_reference(&reference);
        self.forget_reference(&private_tag(&reference, &config_digest));
        ImageSource {
            keys: vec![name.to_owned()],
            reference,
            manifest_digest: Digest::of(&manifest),
            config_digest,
            manifest,
            config,
            layers: layers.iter().map(|layer| layer.meta.clone()).collect(),
            absent: std::collections::BTreeSet::new(),
            open,
        }
    }

    /// Has an image reference removed at the end.
    pub(crate) fn forget_reference(&self, reference: &str) {
        self.references.lock().unwrap().push(reference.to_owned());
    }

    /// Runs a docker command line, and another one at the end.
    pub(crate) fn docker(&self, args: &[&str], undo: &[&str]) {
        self.foreign
            .lock()
            .unwrap()
            .push(undo.iter().map(|arg| (*arg).to_owned()).collect());
        docker(args);
    }

    /// Loads an image with a shell and returns its id.
    pub(crate) async fn shell(&self) -> String {
        let base = busybox(&self.name);
        self.load(vec![self.image("shell", &[&base])]).await[0]
            .id
            .clone()
    }

    pub(crate) async fn load(&self, images: Vec<ImageSource>) -> Vec<Loaded> {
        load_images(&self.engine, &self.facts, images, &Silent)
            .await
            .unwrap()
    }

    pub(crate) async fn network(&self, name: &str, internal: bool) -> String {
        let name = self.named(name);
        let spec = NetworkSpec {
            name: name.clone(),
            owner: self.owner("network"),
            reach: if internal {
                Reach::Siblings
            } else {
                Reach::Published
            },
            bridge: None,
        };
        self.engine.create_network(&spec).await.unwrap();
        name
    }

    /// A container that runs a shell script; not made yet.
    pub(crate) fn spec(&self, part: &str, image: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            name: self.named(part),
            owner: self.owner(part),
            image: image.to_owned(),
            user: None,
            entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
            command: Some(vec![script.to_owned()]),
            env: BTreeMap::new().into(),
            networks: Vec::new(),
            links: BTreeMap::new(),
            resolver: Resolver::Nobody,
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            extra_hosts: Vec::new(),
            dns_options: Vec::new(),
            ports: Vec::new(),
            health: None,
            stop_signal: None,
            stop_timeout: None,
            restart: false,
            nofile: None,
            confinement: None,
            config_hash: "hash".to_owned(),
        }
    }

    /// Makes and starts a container and returns its name.
    pub(crate) async fn run(&self, spec: &ContainerSpec) -> String {
        self.engine.create(spec).await.unwrap();
        self.engine.start(&spec.name).await.unwrap();
        spec.name.clone()
    }

    /// Runs a container to its end and returns its exit code and output.
    pub(crate) async fn run_to_end(&self, spec: &ContainerSpec) -> (i64, String) {
        let name = self.run(spec).await;
        let code = self.engine.wait(&name).await.unwrap();
        let logs = self.engine.logs(&name, 100, None).await.unwrap();
        (code, logs)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for undo in self.foreign.get_mut().unwrap().drain(..) {
            client(&undo);
        }
        let (engine, name) = (self.engine.clone(), self.name.clone());
        let references = std::mem::take(self.references.get_mut().unwrap());
        // A runtime of its own: the test's is in the middle of a poll.
        let swept = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(sweep(&engine, &name, references))
        })
        .join();
        let mut left = swept.unwrap_or_else(|_| vec!["everything: the sweep panicked".to_owned()]);
        if let Some(podman) = &self.podman
            && !std::thread::panicking()
        {
            // Also what no tag of ours points at.
            left.extend(podman.left());
        }
        assert!(
            left.is_empty() || std::thread::panicking(),
            "left behind: {left:?}"
        );
    }
}

async fn sweep(engine: &Docker, name: &str, references: Vec<String>) -> Vec<String> {
    let mut left = Vec::new();
    for container in engine.containers(name).await.unwrap_or_default() {
        let result = engine.remove(&container.name).await;
        left.extend(result.err().map(|error| error.to_string()));
    }
    for network in engine.networks(name).await.unwrap_or_default() {
        let result = engine.remove_network(&network.name).await;
        left.extend(result.err().map(|error| error.to_string()));
    }
    for volume in engine.volumes(name).await.unwrap_or_default() {
        let result = engine.remove_volume(&volume.name).await;
        left.extend(result.err().map(|error| error.to_string()));
    }
    for reference in references {
        let result = engine.untag(&reference).await;
        left.extend(result.err().map(|error| error.to_string()));
    }
    left
}

fn target() -> EngineTarget {
    match std::env::var(ENGINE) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => EngineTarget::Auto,
    }
}

/// The client, talking to the engine under test.
fn client(args: &[impl AsRef<std::ffi::OsStr>]) -> std::process::Output {
    let mut command = std::process::Command::new("docker");
    if let EngineTarget::Socket(path) = target() {
        command.env("DOCKER_HOST", format!("unix://{}", path.display()));
    }
    command.args(args).output().unwrap()
}

pub(crate) fn docker(args: &[&str]) -> String {
    let output = client(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A gzip layer.
#[derive(Clone)]
pub(crate) struct TestLayer {
    pub(crate) meta: Layer,
    pub(crate) blob: Bytes,
}

/// A layer of files: path, mode and content.
pub(crate) fn layer(files: &[(&str, u32, &[u8])]) -> TestLayer {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, data) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, *data).unwrap();
    }
    let inflated = tar.into_inner().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&inflated).unwrap();
    let blob = Bytes::from(gzip.finish().unwrap());
    TestLayer {
        meta: Layer {
            digest: Digest::of(&blob),
            size: blob.len() as u64,
            diff_id: Digest::of(&inflated),
            unpacked: inflated.len() as u64,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        },
        blob,
    }
}

/// A layer with a shell. `mark` makes it one that no other test has.
pub(crate) fn busybox(mark: &str) -> TestLayer {
    let busybox = std::fs::read(BUSYBOX)
        .unwrap_or_else(|error| panic!("{BUSYBOX}: {error}; install busybox-static"));
    let mut tools: Vec<(String, &[u8])> = Vec::new();
    for tool in ["ip", "nc", "nslookup", "stat", "sleep", "cat", "kill"] {
        tools.push((
            format!("bin/{tool}"),
            b"#!/bin/sh\nexec /bin/busybox ${0##*/} \"$@\"\n",
        ));
    }
    let mut files: Vec<(&str, u32, &[u8])> = vec![
        ("bin/busybox", 0o755, &busybox),
        // The shell picks its applet by its name.
        ("bin/sh", 0o755, &busybox),
        ("mark", 0o644, mark.as_bytes()),
    ];
    files.extend(
        tools
            .iter()
            .map(|(path, data)| (path.as_str(), 0o755, *data)),
    );
    layer(&files)
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut block = Digest::of(seed.as_bytes()).hex();
    while bytes.len() < len {
        block = Digest::of(block.as_bytes()).hex();
        bytes.extend(hex::decode(&block).unwrap());
    }
    bytes.truncate(len);
    bytes
}

/// Keeps every event.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<Event>>);

impl Reporter for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}
