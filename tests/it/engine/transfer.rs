//! Bytes in and out of containers.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use lfctl::engine::{Containers, EngineError, ExecAndLogs, LoadBody, SaveBody};

use crate::support::bundle::noise;
use crate::support::engine::Rig;

async fn collect(mut body: SaveBody) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

fn body(pieces: Vec<std::io::Result<Vec<u8>>>) -> LoadBody {
    stream::iter(pieces.into_iter().map(|piece| piece.map(Bytes::from))).boxed()
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

fn tar_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o640);
    header.set_uid(1001);
    header.set_gid(1002);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, name, bytes).unwrap();
    tar.into_inner().unwrap()
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_command_is_fed_and_heard_to_the_end() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let name = rig.run(&rig.spec("fed", &image, "sleep 60")).await;
    let data = noise(5, 5_000_000);
    let run = async |script: &str, input: Option<LoadBody>| {
        let said = rig.engine.run(&name, &shell(script), input).await.unwrap();
        collect(said).await
    };
    let pieces = data.chunks(100_000).map(|piece| Ok(piece.to_vec()));
    let said = run("cat", Some(body(pieces.collect()))).await.unwrap();
    assert!(said == data);
    // A command that reads nothing ends all the same.
    assert_eq!(run("echo one", None).await.unwrap(), b"one\n");

    let error = run("echo part; echo why >&2; exit 3", None)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ended with code 3: why"), "{text}");
    let broken = body(vec![
        Ok(b"part".to_vec()),
        Err(std::io::Error::other("the snapshot is damaged")),
    ]);
    let error = run("cat >/dev/null", Some(broken)).await.unwrap_err();
    assert!(
        error.to_string().contains("the snapshot is damaged"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn files_go_in_and_out_of_a_container_that_does_not_run() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let spec = rig.spec("files", &image, "stat -c '%u:%g %a' /bin/data");
    rig.engine.create(&spec).await.unwrap();
    let data = noise(6, 3_000_000);
    let tar = tar_of("data", &data);
    let pieces = tar.chunks(100_000).map(|piece| Ok(piece.to_vec()));
    let pieces = body(pieces.collect());
    rig.engine.unpack(&spec.name, "/bin", pieces).await.unwrap();
    let out = rig.engine.download(&spec.name, "/bin/data").await.unwrap();
    let out = collect(out).await.unwrap();
    let mut archive = tar::Archive::new(out.as_slice());
    let mut entries = archive.entries().unwrap();
    let mut entry = entries.next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap().to_str(), Some("data"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
    assert!(bytes == data);
    rig.engine.start(&spec.name).await.unwrap();
    assert_eq!(rig.engine.wait(&spec.name).await.unwrap(), 0);
    let logs = rig.engine.logs(&spec.name, 10, None).await.unwrap();
    assert_eq!(logs, "1001:1002 640\n");

    let missing = rig.engine.download(&spec.name, "/none").await.map(drop);
    assert!(matches!(
        missing,
        Err(EngineError::Refused {
            status: Some(404),
            ..
        })
    ));
    let torn = body(vec![
        Ok(tar[..2_000_000].to_vec()),
        Err(std::io::Error::other("the snapshot is damaged")),
    ]);
    let error = rig.engine.unpack(&spec.name, "/bin", torn).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the snapshot is damaged"), "{text}");
}
