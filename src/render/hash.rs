//! One hash over everything that defines a container.

use sha2::{Digest as _, Sha256};

use super::RenderedFile;
use crate::engine::{ConfinementSpec, ContainerSpec, HealthSpec, Resolver};

/// What an engine is told beside the definition, such as whom its resolver may
/// ask. A new number makes every container anew.
const HOW: u32 = 1;

/// Sha256 in hex over everything that defines a container but the hash itself.
#[expect(
    clippy::too_many_lines,
    reason = "each field is named once, so that none is forgotten"
)]
pub(super) fn config_hash(spec: &ContainerSpec, files: &[RenderedFile]) -> String {
    let ContainerSpec {
        name,
        owner,
        image,
        user,
        entrypoint,
        command,
        env,
        networks,
        links,
        resolver,
        mounts,
        tmpfs,
        extra_hosts,
        dns_options,
        ports,
        health,
        stop_signal,
        stop_timeout,
        restart,
        nofile,
        confinement,
        config_hash: _,
    } = spec;
    let ports: Vec<_> = ports
        .iter()
        .map(|port| (&port.host_ip, port.host_port, port.container_port))
        .collect();
    let health = health.as_ref().map(|health| {
        let HealthSpec {
            command,
            interval,
            timeout,
            retries,
            start_period,
        } = health;
        serde_json::json!([command, interval, timeout, retries, start_period])
    });
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            let content = file.content.expose();
            serde_json::json!([file.path, content, file.mode, file.uid, file.gid])
        })
        .collect();
    let confinement = confinement.as_ref().map(|confinement| {
        let ConfinementSpec {
            capabilities,
            pids,
            memory,
            read_only,
        } = confinement;
        serde_json::json!([capabilities, pids, memory, read_only])
    });
    let mut whole = vec![serde_json::json!([
        HOW,
        [name, owner.appliance, owner.part, image],
        [user, entrypoint, command, env.0],
        [networks, mounts, tmpfs, extra_hosts, dns_options],
        [ports, health, stop_signal, stop_timeout, restart, nofile],
        files,
        (links, *resolver == Resolver::Host),
    ])];
    // What an older definition makes keeps its hash.
    whole.extend(confinement);
    let whole = match whole.as_slice() {
        [only] => only.to_string(),
        all => serde_json::json!(all).to_string(),
    };
    hex::encode(Sha256::digest(whole.as_bytes()))
}
