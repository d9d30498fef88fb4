//! What an error of a registry, or of an image in it, means to the maker of a
//! bundle.

use std::path::Path;

use super::{Failure, Kind};
use crate::bundle::create::CreateError;
use crate::oci::image::{ImageError, NotAnImage};
use crate::oci::registry::{RegistryError, RequestError, TlsTrouble};

const AGAIN: &str = "run the same command again";

/// What to do about a registry whose certificate is not taken.
fn about_tls(registry: &str, trouble: &TlsTrouble) -> String {
    match trouble {
        TlsTrouble::NoTls => {
            "if it is to be asked without TLS, add `--plain-http`; it is meant for networks that \
             you trust"
                .to_owned()
        }
        TlsTrouble::UnknownAuthority | TlsTrouble::Authority => {
            // Docker's own place for it.
            let own = format!("/etc/docker/certs.d/{registry}/ca.crt");
            let file = if Path::new(&own).is_file() {
                own
            } else {
                "FILE".to_owned()
            };
            let what = match trouble {
                TlsTrouble::Authority => "get this certificate from the operators of the registry",
                _ => "if a private CA signed it, get that CA's certificate, or the registry's own",
            };
            format!("{what}, and name the PEM file with `--ca {file}`")
        }
        TlsTrouble::Name(names) => match names.first() {
            Some(name) => format!(
                "name the registry as its certificate does ({name}), or have `{registry}` put \
                 into the certificate"
            ),
            None => format!("have `{registry}` put into its certificate as a subjectAltName"),
        },
        TlsTrouble::Expired | TlsTrouble::NotYet => {
            "check the clock of this host with `date`; if it is right, have the certificate renewed"
                .to_owned()
        }
        _ => format!("see what it answers: `openssl s_client -connect {registry}`"),
    }
}

/// What to do about an image that cannot be bundled as it is.
fn way_out(reference: &str, error: &ImageError) -> Option<String> {
    let copied = |how: &str| {
        format!(
            "write it again as a layout, `skopeo copy {how} docker://{reference} \
             oci:DIR:{reference}`, and bundle it from there with `--from oci:DIR`"
        )
    };
    Some(match error {
        ImageError::Zstd(_) => copied("--dest-compress-format gzip --dest-force-compress-format"),
        ImageError::NotAnImage(NotAnImage::Schema1) => copied("--format v2s2"),
        ImageError::Foreign(_) => format!(
            "get all of its layers with an engine, `docker pull {reference}`, and bundle it from \
             there with `--from docker`"
        ),
        ImageError::NotAnImage(NotAnImage::WebPage) => {
            "check the address of the registry or of `--mirror`, and whether a proxy or a login \
             page answers in its place: `curl -i https://REGISTRY/v2/`"
                .to_owned()
        }
        ImageError::NotAnImage(_) => {
            "name an image in the spec: the reference is something else".to_owned()
        }
        ImageError::TooManyLayers(_) => format!(
            "build it with fewer: put its `RUN` and `COPY` lines together or build in stages; \
             `podman build --squash-all` makes one layer, and so does `docker export` of a \
             container of `{reference}` with `docker import`"
        ),
        _ => return None,
    })
}

/// What to do about a registry that refuses a request with this status.
fn about_refusal(status: u16, registry: &str, has_login: bool) -> Option<String> {
    Some(match status {
        404 => {
            format!("check the name and the tag in the spec, and that {registry} has this image")
        }
        429 if !has_login => format!(
            "wait and run the same command again, or log in with `docker login {registry}`: many \
             registries allow more then"
        ),
        401 | 403 if has_login => format!(
            "ask the operators of {registry} for the right to pull this image, or log in as \
             another user with `docker login {registry}`"
        ),
        401 | 403 => format!(
            "check the name in the spec, and log in with `docker login {registry}` if the image is \
             not public"
        ),
        _ => return None,
    })
}

impl Failure {
    pub(super) fn image(error: &CreateError, reference: &str, source: &ImageError) -> Self {
        let failure = Self::from_error(Kind::Config, error);
        match way_out(reference, source) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    pub(super) fn registry(error: &CreateError, registry: &RegistryError) -> Self {
        let failed = Self::from_error(Kind::Failed, error);
        match registry {
            RegistryError::Content { .. } | RegistryError::Digest { .. } => {
                Self::from_error(Kind::NotTrusted, error)
            }
            RegistryError::Image { reference, source } => Self::image(error, reference, source),
            RegistryError::Authority { .. } => Self::from_error(Kind::Usage, error)
                .hint("name a file of certificates with `--ca`, as `openssl x509` writes them"),
            RegistryError::Request {
                source,
                registry: name,
                ..
            } => match source.as_ref() {
                RequestError::NoLogin(refusal)
                | RequestError::NoPassword(refusal)
                | RequestError::Refused(refusal) => {
                    failed.hint(format!("log in with `docker login {}`", refusal.registry))
                }
                reason if reason.tls().is_some() => match reason.tls() {
                    Some(trouble) => failed.hint(about_tls(name, trouble)),
                    None => failed,
                },
                reason if reason.is_no_http() => failed.hint(
                    "leave out `--plain-http`: it seems to speak TLS, and with `--plain-http` it \
                     is asked without",
                ),
                RequestError::Status { status, login, .. } => {
                    match about_refusal(status.as_u16(), name, login.is_some()) {
                        Some(hint) => failed.hint(hint),
                        None if source.is_transient() => failed.hint(AGAIN),
                        None => failed,
                    }
                }
                reason if reason.is_transient() => failed.hint(AGAIN),
                _ => failed,
            },
            _ => failed,
        }
    }
}
