//! A machine of a test's own that can be rebooted: Debian trixie with Podman,
//! and its systemd as the first process of namespaces. Needs root and, once,
//! debootstrap and a mirror.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::oci::digest::Digest;

use super::host::both;

const SUITE: &str = "trixie";
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,podman,crun,netavark,aardvark-dns,nftables,iproute2";
const MIRROR: &str = "http://deb.debian.org/debian";
/// How long a boot and a shutdown may take.
const BOOT: Duration = Duration::from_secs(60);
/// Asks systemd of a container to power off.
const POWER_OFF: &str = "RTMIN+4";

/// Takes over the directory `$1` as the root of a booted system, over `$2`.
const INIT: &str = r#"
root=$1/root
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$root"
mkdir -p "$root/old" "$root/host" "$root/var/lib/containers"
mount --bind "$1/containers" "$root/var/lib/containers"
mount --bind "$1/host" "$root/host"
touch "$root/usr/local/bin/lfctl"
mount --bind "$3" "$root/usr/local/bin/lfctl"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
hostname machine
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=lfctl-test PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd
"#;

/// crun without limits: a cgroup2 beside the hierarchies of cgroup1 has no
/// controllers, and crun refuses what it cannot set.
const UNLIMITED: &str = r#"#!/usr/bin/perl
for my $at (0 .. $#ARGV) {
    next unless $ARGV[$at] eq "--bundle";
    my $file = "$ARGV[$at + 1]/config.json";
    local $/;
    open(my $in, "<", $file) or die "$file: $!";
    my $config = <$in>;
    $config =~ s/"resources":(\{(?:[^{}]|(?1))*\}),?//;
    open(my $out, ">", $file) or die "$file: $!";
    print $out $config;
    close($out) or die "$file: $!";
}
exec("/usr/bin/crun", @ARGV);
"#;
const SETTINGS: &str = "[engine]\nruntime = \"unlimited\"\n\
    [engine.runtimes]\nunlimited = [\"/usr/local/bin/crun-unlimited\"]\n";

/// See the module.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    cgroup: PathBuf,
    /// `unshare`, which waits for the machine to end.
    running: Option<Child>,
}

impl Machine {
    /// A machine that runs, with nothing enabled.
    pub(crate) fn boot() -> Self {
        // On a disk that overlays and the store of an engine can be on.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["root", "upper", "work", "containers", "host"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let name = format!("lfctl-machine-{}", std::process::id());
        let mut machine = Self {
            dir,
            cgroup: cgroup2().join(name),
            running: None,
        };
        fs::create_dir_all(&machine.cgroup).unwrap();
        machine.write("usr/local/bin/crun-unlimited", UNLIMITED);
        machine.write("etc/containers/containers.conf", SETTINGS);
        // No machine of namespaces loads any.
        machine.write("etc/modules-load.d/none.conf", "");
        machine.start();
        machine
    }

    /// Puts an executable file onto the machine's disk before it boots.
    fn write(&self, path: &str, content: &str) {
        use fs_err::os::unix::fs::OpenOptionsExt;
        use std::io::Write;
        let path = self.dir.path().join("upper").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        let mut file = options.open(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    /// What is `/host` there.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    fn start(&mut self) {
        let enter = "echo $$ > \"$1/cgroup.procs\" && shift && exec unshare --mount --pid --net \
                     --uts --ipc --cgroup --fork --kill-child=KILL sh -euc \"$@\"";
        // A test that is killed takes it along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "sh", "-euc", enter, "sh"]);
        command.args([
            &self.cgroup,
            Path::new(INIT),
            Path::new("sh"),
            self.dir.path(),
        ]);
        command.args([base(), PathBuf::from(env!("CARGO_BIN_EXE_lfctl"))]);
        command.stdin(Stdio::null());
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        command.stderr(log.into_file()).stdout(Stdio::null());
        self.running = Some(command.spawn().unwrap());
        let begun = Instant::now();
        loop {
            // It is not there yet, or not the root of its own.
            let state = self
                .init()
                .map(|_| self.run(&["systemctl", "is-system-running"]));
            let state = state.map(|output| both(&output)).unwrap_or_default();
            if ["running", "degraded"].contains(&state.trim()) {
                break;
            }
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(begun.elapsed() < BOOT, "{state}\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The first process of the machine, as this host knows it.
    fn init(&self) -> Option<String> {
        let unshare = self.running.as_ref()?.id();
        let path = format!("/proc/{unshare}/task/{unshare}/children");
        let children = fs::read_to_string(path).ok()?;
        let child = children.split_whitespace().next()?;
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "systemd").then(|| child.to_owned())
    }

    /// Runs a command on the machine.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        let init = self.init().expect("the machine is down");
        Command::new("nsenter")
            .args(["--target", &init, "--all", "--root", "--wd"])
            .args(["env", "-i", "--chdir=/host", "NO_COLOR=1", "HOME=/root"])
            .arg("PATH=/usr/local/bin:/usr/sbin:/usr/bin")
            .args(command)
            .output()
            .unwrap()
    }

    /// Runs a command there, which must succeed, and returns its stdout.
    #[track_caller]
    pub(crate) fn ok(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{command:?}: {}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends systemd, with all that runs on the machine, and starts it again.
    pub(crate) fn reboot(&mut self) {
        let init = self.init().expect("the machine is down");
        let killed = Command::new("kill").args(["-s", POWER_OFF, &init]).status();
        assert!(killed.unwrap().success());
        let begun = Instant::now();
        let running = self.running.as_mut().unwrap();
        while running.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < BOOT, "the machine does not go down");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.start();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.kill();
            let _ = running.wait();
        }
        // A moment until the last process of it is gone.
        let begun = Instant::now();
        while self.cgroup.exists() && begun.elapsed() < Duration::from_secs(10) {
            remove_cgroup(&self.cgroup);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn remove_cgroup(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

/// Where the second version of cgroups is mounted here.
fn cgroup2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| fields[2] == "cgroup2");
    mount.expect("no cgroup2 is mounted")[1].into()
}

/// The system below each machine, made once for these packages and kept beside
/// the images of the rehearsal.
fn base() -> PathBuf {
    let key = Digest::of(format!("{SUITE} {PACKAGES}").as_bytes());
    let cache = std::env::var_os("LFCTL_REHEARSAL_CACHE");
    let cache = cache.map_or_else(
        || PathBuf::from("/var/cache/lfctl-rehearsal"),
        PathBuf::from,
    );
    fs::create_dir_all(&cache).unwrap();
    let base = cache.join(format!("machine-{}", key.short()));
    let lock = fs::File::create(base.with_extension("lock")).unwrap();
    lock.file().lock().unwrap();
    if !base.is_dir() {
        let part = base.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        let made = Command::new("debootstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={PACKAGES}"))
            .args([Path::new(SUITE), &part, Path::new(MIRROR)])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", both(&made));
        fs::rename(part, &base).unwrap();
    }
    base
}
