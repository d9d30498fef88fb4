//! What lfctl needs of a container engine, by use.
//!
//! A function asks for the part that it uses, so that its tests need no more.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::EngineError;
use super::model::{Container, EngineFacts, EngineImage, ExecOutput, Resource};
use super::spec::{ContainerSpec, NetworkSpec, Owner};

/// A load archive on its way to the engine. An error in it aborts the request.
pub type LoadBody = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// Bytes on their way out of the engine: images or files as one tar, or what a
/// command prints.
pub type SaveBody = BoxStream<'static, Result<Bytes, EngineError>>;

#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait Images {
    /// The image behind an id or a reference, if the engine holds it.
    async fn image(&self, reference: &str) -> Result<Option<EngineImage>, EngineError>;
    /// Images with a reference that matches `pattern`, such as
    /// `registry.local/*`. May know fewer than there are: what is not named
    /// here is loaded in full.
    async fn images(&self, pattern: &str) -> Result<Vec<EngineImage>, EngineError> {
        let _ = pattern;
        Ok(Vec::new())
    }
    /// Loads one image archive and reads the engine's answer to its end.
    async fn load(&self, what: &str, body: LoadBody) -> Result<(), EngineError>;
    /// The images behind these references as one tar.
    fn save(&self, references: &[String]) -> Result<SaveBody, EngineError>;
    /// Makes `reference` point at the image `id`.
    async fn tag(&self, id: &str, reference: &str) -> Result<(), EngineError>;
    /// Removes a reference, and the image when it was the last one and no
    /// container uses it. Gone already is not an error.
    async fn untag(&self, reference: &str) -> Result<(), EngineError>;
}

#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait NetworksAndVolumes {
    /// Networks with this appliance's label.
    async fn networks(&self, appliance: &str) -> Result<Vec<Resource>, EngineError>;
    /// The network of this name, also another one's.
    async fn network(&self, name: &str) -> Result<Option<Resource>, EngineError>;
    /// Makes a network.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError>;
    /// Removes a network. Gone already is not an error.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// Volumes with this appliance's label.
    async fn volumes(&self, appliance: &str) -> Result<Vec<Resource>, EngineError>;
    /// The volume of this name, also another one's.
    async fn volume(&self, name: &str) -> Result<Option<Resource>, EngineError>;
    /// Makes a volume.
    async fn create_volume(&self, name: &str, owner: &Owner) -> Result<(), EngineError>;
    /// Removes a volume and its data. Gone already is not an error.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;
}

/// Containers, from making to removing.
#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait Containers {
    /// Containers with this appliance's label, running or not.
    async fn containers(&self, appliance: &str) -> Result<Vec<Container>, EngineError>;
    /// The container of this name, also another one's.
    async fn container(&self, name: &str) -> Result<Option<Container>, EngineError>;
    /// Makes a container and connects it to its networks; does not start it.
    async fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError>;
    /// Unpacks a tar at `/` of a container that need not run.
    async fn upload(&self, container: &str, tar: Vec<u8>) -> Result<(), EngineError>;
    /// Reads a file or directory of a container, running or not, as one tar
    /// whose first name is the last one of `path`.
    async fn download(&self, container: &str, path: &str) -> Result<SaveBody, EngineError>;
    /// As [`Containers::upload`], at `path`, from a stream. An error in the
    /// stream fails the call; what was unpacked until then stays.
    async fn unpack(&self, container: &str, path: &str, tar: LoadBody) -> Result<(), EngineError>;
    /// Starts a container. Running already is not an error.
    async fn start(&self, container: &str) -> Result<(), EngineError>;
    /// Stops a container, killing it after `timeout`.
    async fn stop(&self, container: &str, timeout: Duration) -> Result<(), EngineError>;
    /// Sends a signal to a running container.
    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError>;
    /// Removes a container, killing it first. Gone already is not an error.
    async fn remove(&self, container: &str) -> Result<(), EngineError>;
    /// Gives a container another name; whatever it does goes on.
    async fn rename(&self, container: &str, name: &str) -> Result<(), EngineError>;
    /// Waits for the end of a container and returns its exit code.
    async fn wait(&self, container: &str) -> Result<i64, EngineError>;
}

/// What goes on inside a container.
#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait ExecAndLogs {
    /// The last `tail` lines of both output streams, since `since` (Unix
    /// seconds) where given.
    async fn logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError>;
    /// The same, each line with the time at which it was written in front, in
    /// RFC 3339, and a blank.
    async fn timed_logs(
        &self,
        container: &str,
        tail: usize,
        since: Option<i64>,
    ) -> Result<String, EngineError>;
    /// Runs a command in a running container and collects what it prints.
    async fn exec(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutput, EngineError>;
    /// Runs a command in a running container, feeds it `input`, and yields what
    /// it prints on standard output as it comes. The stream ends with an error
    /// unless the command took all of its input and ended with 0.
    async fn run(
        &self,
        container: &str,
        command: &[String],
        input: Option<LoadBody>,
    ) -> Result<SaveBody, EngineError>;
}

/// All of it.
#[expect(
    async_fn_in_trait,
    reason = "used as a generic on one thread, so neither boxing nor Send bounds are wanted"
)]
pub trait ContainerEngine: Images + NetworksAndVolumes + Containers + ExecAndLogs {
    /// What the engine is.
    async fn facts(&self) -> Result<EngineFacts, EngineError>;
}
