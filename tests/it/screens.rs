//! What a person sees of one appliance from its install to its end, at several
//! widths, with `TERM=dumb` and with `NO_COLOR`.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fs_err as fs;
use lfctl::bundle::manifest::UpgradeWay;
use lfctl::fake::bundle::{FakeImage, FakeLayer};
use serde_json::json;

use crate::support::appliance::Releases;
use crate::support::bundle::{key, noise};
use crate::support::host::{Host, docker};
use crate::support::screen::{Screen, one_line, regex, stable};

const WIDTHS: [u32; 3] = [60, 80, 200];
/// As long as the name and the port that stand in a snapshot.
const NAME: &str = "langfuse";
const PORT: &str = "30000";

/// A host and terminals of several widths on it.
struct Room {
    host: Host,
    screens: Vec<(u32, Screen)>,
    /// One more, for `TERM=dumb` and `NO_COLOR`.
    plain: Screen,
    /// Commands typed so far: the end of one is not taken for that of the next.
    typed: Cell<u32>,
}

impl Room {
    fn on(mut host: Host) -> Self {
        // Of one length, so that lines break at the same place each time.
        host.name = format!("s{:07}", std::process::id());
        let dir = host.dir.path();
        Self {
            screens: WIDTHS
                .map(|columns| (columns, Screen::open(columns, dir)))
                .into(),
            plain: Screen::open(80, dir),
            typed: Cell::new(0),
            host,
        }
    }

    fn screen(&self, columns: u32) -> &Screen {
        let screen = self.screens.iter().find(|(width, _)| *width == columns);
        &screen.unwrap().1
    }

    /// Types a command with the flags of this host.
    fn enter(&self, screen: &Screen, command: &str) {
        let name = &self.host.name;
        self.enter_as_it_is(screen, &format!("{command} --root root --name {name}"));
    }

    fn enter_as_it_is(&self, screen: &Screen, command: &str) {
        let number = self.typed.get() + 1;
        self.typed.set(number);
        screen.enter(&format!("clear; {command}; echo en''ded {number} $?"));
    }

    /// What is on the screen when the command typed last ends with `code`.
    #[track_caller]
    fn end(&self, screen: &Screen, code: i32) -> String {
        let mark = format!("ended {} ", self.typed.get());
        let seen = screen.wait_for(&mark);
        let (seen, ended) = seen.rsplit_once(&mark).unwrap();
        assert_eq!(
            ended.split_whitespace().next(),
            Some(&*code.to_string()),
            "{seen}"
        );
        let seen = seen.replace(&self.host.name, NAME);
        stable(&seen.replace(&self.host.port.to_string(), PORT))
    }

    /// Types the command in backticks that begins with `start`, as it is shown.
    #[track_caller]
    fn type_shown(&self, seen: &str, start: &str) {
        let quoted = seen.split('`').skip(1).step_by(2);
        let shown: Vec<_> = quoted.filter(|text| text.starts_with(start)).collect();
        assert_eq!(shown.len(), 1, "{shown:?} in {seen}");
        let command = shown[0].replace(NAME, &self.host.name);
        self.enter_as_it_is(&self.plain, &command);
    }

    /// Compares what a command that changes nothing shows on each terminal,
    /// and returns what it shows in one line.
    #[track_caller]
    fn look(&self, snapshot: &str, code: i32, command: &str) -> String {
        self.look_at(snapshot, code, command, str::to_owned)
    }

    /// The same for what `kept` leaves of it.
    #[track_caller]
    fn look_at(
        &self,
        snapshot: &str,
        code: i32,
        command: &str,
        kept: fn(&str) -> String,
    ) -> String {
        let mut all = String::new();
        let mut at_80 = String::new();
        for (columns, screen) in &self.screens {
            self.enter(screen, command);
            let seen = self.end(screen, code);
            fits(&seen, *columns);
            let seen = kept(&seen);
            let _ = writeln!(all, "── {columns} columns\n{seen}");
            if *columns == 80 {
                at_80 = seen;
            }
        }
        for plainly in ["TERM=dumb", "NO_COLOR=1"] {
            self.enter(&self.plain, &format!("{plainly} {command}"));
            assert_eq!(kept(&self.end(&self.plain, code)), at_80, "{plainly}");
            assert!(!self.plain.has_colour(), "{plainly} {command}");
        }
        check(snapshot, &all);
        one_line(&at_80)
    }
}

#[track_caller]
fn fits(seen: &str, columns: u32) {
    for line in seen.lines() {
        assert!(
            line.chars().count() <= columns as usize,
            "{columns}: {line}"
        );
    }
}

#[track_caller]
fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("screen-{name}"), text));
}

/// The line that moves, with what it has reached taken out. Nothing but it
/// speaks of this step.
#[track_caller]
fn moving(screen: &Screen, step: &str, columns: u32) -> String {
    let seen = screen.wait_for_moving(&format!("  {step}"));
    assert_eq!(seen.matches(step).count(), 1, "{seen}");
    let line = seen.lines().last().unwrap();
    // Some terminals wrap in the last column.
    fits(line, columns - 1);
    let line = regex(line, r"\[[=> ]*\]", "[==>  ]");
    let line = regex(&line, r", [0-9]+ [a-z]+ left", "");
    regex(&line, "[0-9]+ (of|s)", r"0 \1")
}

/// What is shown from the first step on, without what differs by engine and
/// by which image is loaded first.
fn steps(seen: &str) -> String {
    let from = "  ok   record what is to be installed";
    let lines = seen.lines().skip_while(|line| !line.starts_with(from));
    let mut shown = Vec::new();
    let mut is_loading = false;
    for line in lines {
        is_loading &= !line.starts_with("  ok   load 3 images");
        if !is_loading {
            shown.push(line);
        }
        is_loading |= line.starts_with(from);
    }
    shown.join("\n")
}

const INSTALL: &str = "lfctl install --offline release.tar --site site.toml --yes";

/// Writes a release that takes long enough to load and to migrate to be seen,
/// and trusts its key.
fn write_release(host: &Host) {
    let mut fake = Releases::of(host, UpgradeWay::Rolling).release(1);
    let (reference, app) = fake.images["app"].clone();
    let large = FakeLayer::plain(&[("var/large", &noise(1, 96 << 20))]);
    let layers = [app.layers, vec![large]].concat();
    let app = FakeImage::with_config(layers, &json!({ "Env": ["PATH=/bin"] }));
    fake = fake.image("app", &reference, app);
    fake.stack.migration.command = ["/bin/sh", "-c", "sleep 3; exec /bin/migrate 0001"]
        .map(str::to_owned)
        .to_vec();
    let key = key();
    fake.write(&host.dir.path().join("release.tar"), &key)
        .unwrap();
    fs::write(host.dir.path().join("key.pub"), key.public().to_text()).unwrap();
    host.ok(&["trust", "add", "key.pub"]);
}

/// Ends an install in its migration, and looks at what is left.
fn status_after_an_interruption(room: &Room) {
    let screen = room.screen(80);
    room.enter(screen, INSTALL);
    let migration = format!("name={}", room.host.container("migration"));
    while docker(&["ps", "-q", "--filter", &migration]).is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    screen.wait_for_moving("  migrate the databases");
    interrupted(room, screen);
    // The migration is left at work.
    let kept = |seen: &str| {
        let lines = seen.lines().filter(|line| !line.starts_with(" migration"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let seen = room.look_at("status-interrupted", 0, "lfctl status", kept);
    assert!(
        seen.contains("install broke off at `migrate`; run it again to continue"),
        "{seen}"
    );
}

#[test]
#[ignore = "needs an engine, root and tmux"]
fn an_appliance_is_shown_well_from_its_install_to_its_end() {
    let room = Room::on(Host::beside_others());
    let host = &room.host;
    write_release(host);
    let purge = ["uninstall", "--purge", "--yes", "--name", &host.name];

    status_after_an_interruption(&room);
    host.ok(&purge);

    let (mut all, mut at_80) = (String::new(), String::new());
    for (columns, screen) in &room.screens {
        room.enter(screen, INSTALL);
        let load = moving(screen, "load 3 images", *columns);
        let migrate = moving(screen, "migrate the databases", *columns);
        let seen = room.end(screen, 0);
        fits(&seen, *columns);
        let end = steps(&seen);
        let _ = writeln!(all, "── {columns} columns\n{load}\n{migrate}\n──\n{end}");
        if *columns == 80 {
            at_80 = end;
        }
        host.ok(&purge);
    }
    check("install", &all);
    for plainly in ["TERM=dumb", "NO_COLOR=1"] {
        room.enter(&room.plain, &format!("{plainly} {INSTALL}"));
        assert_eq!(steps(&room.end(&room.plain, 0)), at_80, "{plainly}");
        assert!(!room.plain.has_colour(), "{plainly}");
        if plainly == "TERM=dumb" {
            host.ok(&purge);
        }
    }

    room.look("status-running", 0, "lfctl status");
    let down = "lfctl status --engine unix:///nowhere/engine.sock";
    let seen = room.look("status-engine-down", 7, down);
    assert!(
        seen.contains("name its socket with `--engine unix:///"),
        "{seen}"
    );
    host.ok(&["status", "--engine", "unix:///var/run/docker.sock"]);
    host.ok(&["stop", "--name", &host.name]);
    let seen = room.look("status-stopped", 0, "lfctl status");
    room.type_shown(&seen, "lfctl start ");
    room.end(&room.plain, 0);
    let status = host.ok(&["status", "--name", &host.name]);
    assert!(!status.contains("stopped on purpose"), "{status}");
    host.ok(&["uninstall", "--yes", "--name", &host.name]);
    let seen = room.look("status-uninstalled", 0, "lfctl status");
    room.type_shown(&seen, "lfctl uninstall ");
    room.plain.wait_for("Type its name to continue");
    room.plain.enter(&host.name);
    room.end(&room.plain, 0);
    assert_eq!(host.in_engine(), Vec::<String>::new());
    assert!(!host.state_dir().exists());
}

/// Presses Ctrl-C, and returns what is shown then, in one line.
#[track_caller]
fn interrupted(room: &Room, screen: &Screen) -> String {
    let pressed = Instant::now();
    screen.interrupt();
    let seen = one_line(&room.end(screen, 12));
    println!(
        "ended {:.1} s after Ctrl-C",
        pressed.elapsed().as_secs_f64()
    );
    assert!(
        seen.contains("press Ctrl-C again to stop at once"),
        "{seen}"
    );
    let hint = "hint: run the same command again: it continues where it stopped";
    assert!(seen.contains(hint), "{seen}");
    screen.assert_usable();
    seen
}
