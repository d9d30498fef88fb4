//! What is lfctl's and what is not.

use std::time::Duration;

use lfctl::engine::{
    ContainerState, Containers, EngineError, EngineKind, Images, NetworkSpec, NetworksAndVolumes,
    Reach,
};

use super::containers::{is_refused, show};
use crate::support::engine::Rig;

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_is_not_ours_is_left_alone() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let name = rig.named("theirs");
    rig.docker(
        &[
            "run",
            "-d",
            "--net=none",
            "--name",
            &name,
            &image,
            "sleep",
            "60",
        ],
        &["rm", "-f", &name],
    );
    rig.docker(&["network", "create", &name], &["network", "rm", &name]);
    rig.docker(&["volume", "create", &name], &["volume", "rm", &name]);

    let spec = rig.spec("theirs", &image, "sleep 60");
    let error = rig.engine.create(&spec).await.unwrap_err();
    assert!(matches!(
        error,
        EngineError::Foreign {
            kind: "container",
            ..
        }
    ));
    let network = NetworkSpec {
        name: name.clone(),
        owner: rig.owner("net"),
        reach: Reach::Siblings,
        bridge: None,
    };
    let error = rig.engine.create_network(&network).await.unwrap_err();
    assert!(matches!(
        error,
        EngineError::Foreign {
            kind: "network",
            ..
        }
    ));
    let volume = rig.engine.create_volume(&name, &rig.owner("vol")).await;
    let error = volume.unwrap_err();
    assert!(matches!(error, EngineError::Foreign { kind: "volume", .. }));

    let second = Duration::from_secs(1);
    for result in [
        rig.engine.stop(&name, second).await,
        rig.engine.signal(&name, "SIGKILL").await,
        rig.engine.remove(&name).await,
        rig.engine.upload(&name, Vec::new()).await,
        rig.engine.remove_network(&name).await,
        rig.engine.remove_volume(&name).await,
    ] {
        assert!(is_refused(&result, None), "{result:?}");
    }
    assert_eq!(show(&rig, &name).await.state, ContainerState::Running);
    assert!(rig.engine.network(&name).await.unwrap().is_some());
    assert!(rig.engine.volume(&name).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn our_own_objects_are_not_made_twice_and_go_quietly() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let network = rig.network("net", true).await;
    let again = NetworkSpec {
        name: network.clone(),
        owner: rig.owner("net"),
        reach: Reach::Siblings,
        bridge: None,
    };
    let result = rig.engine.create_network(&again).await;
    assert!(is_refused(&result, Some(409)), "{result:?}");
    let volume = rig.named("vol");
    let owner = rig.owner("vol");
    rig.engine.create_volume(&volume, &owner).await.unwrap();
    let result = rig.engine.create_volume(&volume, &owner).await;
    assert!(is_refused(&result, Some(409)), "{result:?}");
    let spec = rig.spec("twice", &image, "sleep 60");
    rig.engine.create(&spec).await.unwrap();
    let result = rig.engine.create(&spec).await;
    assert!(is_refused(&result, Some(409)), "{result:?}");

    assert_eq!(rig.engine.networks(&rig.name).await.unwrap().len(), 1);
    assert_eq!(rig.engine.volumes(&rig.name).await.unwrap().len(), 1);
    // The second time there is nothing left to remove.
    for _ in 0..2 {
        rig.engine.remove(&spec.name).await.unwrap();
        rig.engine.remove_network(&network).await.unwrap();
        rig.engine.remove_volume(&volume).await.unwrap();
        rig.engine.untag("registry.test/never-was:1").await.unwrap();
    }
    assert_eq!(rig.engine.container(&spec.name).await.unwrap(), None);
    assert_eq!(rig.engine.network(&network).await.unwrap(), None);
    assert_eq!(rig.engine.volume(&volume).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_half_made_container_is_taken_back() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let network = rig.network("net", true).await;
    let mut spec = rig.spec("half", &image, "sleep 60");
    // Nothing goes together with Docker's network that is none, which shows
    // only after the container was made.
    let none = match rig.facts.kind {
        EngineKind::Docker => Some(("none".to_owned(), "connect")),
        EngineKind::Podman => None,
    };
    let gone = (rig.named("gone"), "no network");
    for (second, words) in none.into_iter().chain([gone]) {
        spec.networks = vec![(network.clone(), Vec::new()), (second, Vec::new())];
        let error = rig.engine.create(&spec).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(rig.engine.container(&spec.name).await.unwrap(), None);
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_beginning_of_an_id_is_no_name() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let spec = rig.spec("id", &image, "sleep 60");
    rig.engine.create(&spec).await.unwrap();
    let id = show(&rig, &spec.name).await.id;
    assert_eq!(rig.engine.container(&id[..12]).await.unwrap(), None);
    assert!(rig.engine.container(&id).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_reference_in_use_stays_and_says_so() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let spec = rig.spec("user", &image, "sleep 60");
    rig.engine.create(&spec).await.unwrap();
    let held = rig.engine.image(&image).await.unwrap().unwrap();
    let (last, first) = held.tags.split_last().unwrap();
    for tag in first {
        rig.engine.untag(tag).await.unwrap();
    }
    let result = rig.engine.untag(last).await;
    assert!(is_refused(&result, Some(409)), "{result:?}");
    assert!(rig.engine.image(last).await.unwrap().is_some());
}
