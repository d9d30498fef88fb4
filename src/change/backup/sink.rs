//! The snapshot under way, on a thread of its own: the repository waits for
//! disks, and the engine's streams must go on meanwhile.

use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::change::error::ChangeError;
use crate::repository::{
    Description, Repository, RepositoryError, Snapshot, SnapshotWriter, Totals,
};

type Job = Box<dyn FnOnce(&mut SnapshotWriter<'static>) + Send>;
type Ended = Result<(Snapshot, Totals), RepositoryError>;

enum Order {
    Work(Job),
    Commit(Box<Description>, oneshot::Sender<Ended>),
}

/// A snapshot under way. Dropped, it leaves no snapshot.
#[derive(Debug)]
pub(super) struct Sink {
    orders: mpsc::Sender<Order>,
}

impl Sink {
    /// Begins a snapshot.
    pub(super) async fn begin(repository: Repository) -> Result<Self, ChangeError> {
        let (orders, taken) = mpsc::channel();
        let (begun, beginning) = oneshot::channel();
        std::thread::spawn(move || match repository.write_snapshot(|_| {}) {
            Ok(writer) => {
                let _ = begun.send(Ok(()));
                serve(writer, &taken);
            }
            Err(error) => {
                let _ = begun.send(Err(error));
            }
        });
        beginning.await.map_err(|_| RepositoryError::Stopped)??;
        Ok(Self { orders })
    }

    /// Does `work` with the writer, which may wait.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SnapshotWriter<'static>) -> Result<T, RepositoryError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let (done, doing) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let _ = done.send(work(writer));
        });
        self.orders
            .send(Order::Work(job))
            .map_err(|_| RepositoryError::Stopped)?;
        Ok(doing.await.map_err(|_| RepositoryError::Stopped)??)
    }

    /// Writes the snapshot once all of its data is on disk.
    pub(super) async fn commit(
        self,
        description: Description,
    ) -> Result<(Snapshot, Totals), ChangeError> {
        let (done, doing) = oneshot::channel();
        self.orders
            .send(Order::Commit(Box::new(description), done))
            .map_err(|_| RepositoryError::Stopped)?;
        Ok(doing.await.map_err(|_| RepositoryError::Stopped)??)
    }
}

fn serve(mut writer: SnapshotWriter<'static>, taken: &mpsc::Receiver<Order>) {
    while let Ok(order) = taken.recv() {
        match order {
            Order::Work(job) => job(&mut writer),
            Order::Commit(description, done) => {
                let _ = done.send(writer.commit(&description));
                return;
            }
        }
    }
}
