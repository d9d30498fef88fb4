//! The engine killed, and the power cut, while an upgrade is at work, on a host
//! of its own.

use lfctl::bundle::manifest::UpgradeWay;

use super::bench::bundle;
use super::running::Running;
use super::{Count, stride};

/// Fails unless the appliance comes to one of the two releases by what an
/// operator types next, and to the new one by the same upgrade again.
fn comes_back(running: &mut Running, release: u32, line: usize) {
    running.bench.again(&running.recover(), line);
    running.bench.await_healthy();
    if running.answers() == release {
        running.committed(release);
        return running.is_whole(None, line);
    }
    running.is_whole(Some(release), line);
    let new = bundle(release);
    running.bench.again(&running.upgrade(&new), line);
    running.committed(release);
    running.is_whole(None, line);
}

#[test]
#[ignore = "needs an engine"]
fn an_upgrade_outlives_its_engine_and_a_power_failure() {
    let mut running = Running::on_an_island(UpgradeWay::Rolling);
    let lines = running.lines_of_an_upgrade();
    let step = 2 * stride();
    let count = Count::new("upgrade, engine killed or power cut", lines).at_every(step);
    for line in (1..=lines).step_by(step) {
        let release = running.release + 1;
        running.bench.make(release);
        let (new, island) = (bundle(release), running.island());
        let is_power = line / step % 2 == 1;
        let struck = running.bench.strike(&running.upgrade(&new), line, |child| {
            if is_power {
                child.kill().unwrap();
                island.cut_power();
            } else {
                island.kill_engine();
            }
        });
        count.struck(&struck);
        island.start_engine();
        comes_back(&mut running, release, line);
    }
    count.report();
}
