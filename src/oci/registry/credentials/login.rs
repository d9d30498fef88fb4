//! One login, and Docker's names for its own registry.

use secrecy::SecretString;

/// How Docker names its own registry in `auths`, and towards helpers.
pub(super) const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Hosts of Docker's own registry.
pub(super) const DOCKER_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What a registry may be shown.
#[derive(Debug, Clone)]
pub(in crate::oci::registry) enum Login {
    /// User name and password.
    Password(String, SecretString),
    /// A token that the token server exchanges for another.
    Identity(SecretString),
    /// A token that the registry takes as it is.
    Bearer(SecretString),
}
