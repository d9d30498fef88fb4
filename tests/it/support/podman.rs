//! A Podman of a test's own: its store, its locks and its socket lie in one
//! temporary directory, so that no image, container or lock of the machine's
//! own Podman is touched, and all of it goes away with the value.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts Podman's service, or runs its client over the same store.
pub(crate) struct Podman {
    dir: tempfile::TempDir,
    service: Option<Child>,
}

impl Podman {
    /// A store with nothing in it, for the client alone.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        // What a machine without systemd allows: Debian's defaults ask for
        // systemd's cgroups and for more open files than it may give.
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             lock_type = \"file\"\ntmp_dir = \"{}\"\n\
             [network]\nnetwork_config_dir = \"{}\"\n",
            at("tmp"),
            at("net"),
        );
        fs_err::write(dir.path().join("containers.conf"), settings).unwrap();
        Self { dir, service: None }
    }

    /// The same with a service that answers on [`Self::socket`].
    pub(crate) fn serve() -> Self {
        let mut podman = Self::new();
        let log = fs_err::File::create(podman.dir.path().join("log")).unwrap();
        // A test that is killed takes it along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "podman"]);
        command.args(podman.store()).args(["system", "service"]);
        command.arg("--time=0");
        command.arg(format!("unix://{}", podman.socket().display()));
        let service = podman
            .prepare(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_file())
            .spawn()
            .unwrap();
        podman.service = Some(service);
        let begun = Instant::now();
        while UnixStream::connect(podman.socket()).is_err() {
            let ended = podman.service.as_mut().unwrap().try_wait().unwrap();
            let log = || fs_err::read_to_string(podman.dir.path().join("log")).unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(30),
                "no Podman ({ended:?}): {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        podman
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    fn store(&self) -> Vec<String> {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let (root, runroot) = (at("root"), at("run"));
        // Slow, but there on every filesystem and without a mount.
        [
            "--root",
            &root,
            "--runroot",
            &runroot,
            "--storage-driver",
            "vfs",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("CONTAINERS_CONF", self.dir.path().join("containers.conf"))
    }

    /// Runs the client, which must succeed, and returns what it printed.
    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("podman");
        command.args(self.store()).args(arguments);
        let output = self.prepare(&mut command).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Containers and images that are still there, one a line.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = self.client(&["ps", "--all", "--quiet"]);
        left += &self.client(&["images", "--all", "--noheading"]);
        left.lines().map(str::to_owned).collect()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What a test that panicked left running would hold its mounts.
        let mut remove = Command::new("podman");
        remove.args(self.store());
        remove.args(["rm", "--all", "--force", "--time", "0"]);
        let _ = self.prepare(&mut remove).output();
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}
