//! A new web beside the old one, until the old one's last request is answered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::BringUp;
use crate::change::error::ChangeError;
use crate::change::runner::Done;
use crate::change::stop;
use crate::engine::{Container, ContainerEngine, ContainerState};
use crate::stack::Service;

const POLL: Duration = Duration::from_millis(250);
/// How long reading a list of connections may take.
const READ: Duration = Duration::from_secs(10);

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn start_beside(&self, name: &str) -> Result<Done, ChangeError> {
        let service = self.target.service(name)?;
        let mut rendered = self.target.render(service, &self.secrets)?;
        rendered.spec.name = self.names().beside(name);
        // One that an earlier attempt left has no files, or not these.
        self.engine.remove(&rendered.spec.name).await?;
        self.launch(&rendered).await?;
        Ok(Done::now())
    }

    pub(super) async fn await_beside(&self, name: &str) -> Result<Done, ChangeError> {
        let service = self.target.service(name)?;
        let container = self.names().beside(name);
        self.await_container(service, &container).await?;
        Ok(Done::now())
    }

    /// Takes back what [`Self::start_beside`] did. The gateway leads elsewhere
    /// by then.
    pub(super) async fn remove_beside(&self, name: &str) -> Result<(), ChangeError> {
        let service = self.target.service(name)?;
        self.retire(service, &self.names().beside(name)).await
    }

    /// Lets the new web take the old one's name, which goes.
    pub(super) async fn succeed(&self, name: &str) -> Result<Done, ChangeError> {
        let (old, new) = (self.names().container(name), self.names().beside(name));
        if self.engine.container(&new).await?.is_none() {
            return Ok(Done::already());
        }
        let before = self.previous.as_ref().unwrap_or(&self.target);
        self.retire(before.service(name)?, &old).await?;
        self.engine.rename(&new, &old).await?;
        Ok(Done::now())
    }

    /// Removes a web to which nothing leads any more, after its last request.
    async fn retire(&self, service: &Service, name: &str) -> Result<(), ChangeError> {
        if let Some(container) = self.engine.container(name).await? {
            let limit = Duration::from_secs(service.stop.timeout_seconds);
            self.drain(&container, limit).await?;
            stop::stop(self.engine, &container, &service.stop).await?;
        }
        Ok(self.engine.remove(name).await?)
    }

    /// Waits until nobody is connected to a container, for no longer than
    /// `limit`.
    pub(super) async fn drain(
        &self,
        container: &Container,
        limit: Duration,
    ) -> Result<(), ChangeError> {
        let command = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned);
        if container.state != ContainerState::Running {
            return Ok(());
        }
        let begun = Instant::now();
        // Once may be between two requests of a gateway that just turned away.
        let mut quiet = 0;
        while quiet < 2 && begun.elapsed() < limit {
            let output = self.engine.exec(&container.name, &command, READ).await?;
            quiet = match connections(&output.stdout) {
                0 => quiet + 1,
                _ => 0,
            };
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

const ESTABLISHED: &str = "01";
const LISTENING: &str = "0A";
const LOOPBACK: [&str; 3] = [
    "0100007F",
    "0000000000000000FFFF00000100007F",
    "00000000000000000000000001000000",
];

/// Connections from outside to the ports on which a container listens, by its
/// `/proc/net/tcp`. Its own health checks come from loopback.
fn connections(table: &str) -> usize {
    let mut ports = BTreeSet::new();
    let mut established = Vec::new();
    for line in table.lines() {
        let mut columns = line.split_whitespace().skip(1);
        let (Some(local), Some(remote), Some(state)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let (Some((_, port)), Some((peer, _))) = (local.split_once(':'), remote.split_once(':'))
        else {
            continue;
        };
        match state {
            LISTENING => drop(ports.insert(port)),
            ESTABLISHED if !LOOPBACK.contains(&peer) => established.push(port),
            _ => {}
        }
    }
    established
        .iter()
        .filter(|port| ports.contains(*port))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_from_outside_count_and_no_others() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000
   1: 020012AC:0BB8 050012AC:9C40 01 00000000:00000000 00:00000000 00000000  1000
   2: 0100007F:0BB8 0100007F:9C41 01 00000000:00000000 00:00000000 00000000  1000
   3: 020012AC:D431 030012AC:1538 01 00000000:00000000 00:00000000 00000000  1000
   4: 020012AC:0BB8 050012AC:9C42 06 00000000:00000000 00:00000000 00000000  1000
";
        assert_eq!(connections(table), 1);
        assert_eq!(connections(""), 0);
    }
}
