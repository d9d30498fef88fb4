//! The gateway's certificate and its key.

use jiff::SignedDuration;

use super::host::CLOCK_TOLERANCE;
use super::outcome::{Outcome, Unknown, want};
use super::remedy::{apply, install_again};
use crate::facts::certificate::{Certificate, PublicKey};
use crate::facts::{Facts, Subject};
use crate::report::finding::{Remedy, Severity};

/// A renewal takes a ticket and a change window.
const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Below these the gateway's OpenSSL refuses to start, and so do clients.
const SMALLEST_RSA: u64 = 2048;
const SMALLEST_EC: u64 = 224;
/// Everybody on the host.
const OTHERS: u32 = 0o007;
/// A user who shares a group with the key may read it, not replace it.
const GROUP_WRITES: u32 = 0o020;

/// The certificate; `None` when the site has none.
fn certificate(subject: &Subject) -> Result<Option<&Certificate>, Unknown> {
    subject.certificate.as_ref().map(want).transpose()
}

fn no_tls() -> Outcome {
    Outcome::not_applicable("the gateway has no certificate")
}

pub(super) fn expiry(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some(certificate) = certificate(&facts.subject)? else {
        return Ok(no_tls());
    };
    let (from, until) = (certificate.not_before, certificate.not_after);
    let evidence = format!(
        "{} is valid from {} until {}, it is {}",
        certificate.path,
        from.strftime("%F"),
        until.strftime("%F"),
        facts.now.strftime("%F")
    );
    let renew = |text: &str| match facts.change {
        Some(_) => install_again(facts, text),
        None => apply(facts, text),
    };
    if until <= facts.now {
        return Ok(Outcome::blocking(
            "the certificate has expired, so clients refuse to connect",
            evidence,
            renew("put a new certificate and its key in place, then run this"),
        ));
    }
    if from.duration_since(facts.now) > CLOCK_TOLERANCE {
        return Ok(Outcome::blocking(
            "the certificate is not valid yet",
            evidence,
            Remedy::command(
                "look at the clock; if it is right, wait, or use a certificate that is valid now",
                "timedatectl",
            ),
        ));
    }
    if until.duration_since(facts.now) < EXPIRY_WARNING {
        return Ok(Outcome::warning(
            "the certificate expires within 30 days",
            evidence,
            renew("put a new certificate and its key in place, then run this"),
        ));
    }
    Ok(Outcome::pass(evidence))
}

pub(super) fn name(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some(certificate) = certificate(&facts.subject)? else {
        return Ok(no_tls());
    };
    let site = facts.subject.site.as_ref();
    let site = site.ok_or_else(|| Unknown::new("there is no url"))?;
    let host = site.host().to_ascii_lowercase();
    let names = certificate.names.join(", ");
    if certificate.names.iter().any(|name| fits(name, &host)) {
        return Ok(Outcome::pass(format!("{host} is among {names}")));
    }
    let evidence = if names.is_empty() {
        format!("url names {host}, the certificate names nothing in subjectAltName")
    } else {
        format!("url names {host}, the certificate is for {names}")
    };
    // A proxy in front speaks to clients under a name of its own.
    let severity = if site.behind_proxy {
        Severity::Warning
    } else {
        Severity::Blocking
    };
    Ok(Outcome::found(
        severity,
        "the certificate is for another host than url, so clients refuse to connect",
        evidence,
        Remedy::command(
            "use a certificate with that name in subjectAltName, or correct `url` in site.toml",
            format!(
                "openssl x509 -noout -ext subjectAltName -in {}",
                certificate.path
            ),
        ),
    ))
}

/// Whether a name of a certificate is that of `host`: a wildcard stands for one
/// label, the first.
fn fits(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
        None => name == host,
    }
}

pub(super) fn strength(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some(certificate) = certificate(&facts.subject)? else {
        return Ok(no_tls());
    };
    let (key, is_weak) = match certificate.key {
        PublicKey::Rsa(bits) => (format!("RSA with {bits} bits"), bits < SMALLEST_RSA),
        PublicKey::Ec(bits) => (format!("a curve of {bits} bits"), bits < SMALLEST_EC),
        PublicKey::Other => ("a key of another kind".to_owned(), false),
    };
    let evidence = match certificate.weak_digest {
        Some(digest) => format!("{key}, signed over {digest}"),
        None => key,
    };
    if !is_weak && certificate.weak_digest.is_none() {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        "the certificate is too weak: the gateway and its clients refuse it",
        evidence,
        Remedy::text(
            "ask your CA for a certificate with RSA of 2048 bits or more, or P-256, signed over \
             SHA-256",
        ),
    ))
}

pub(super) fn key_file(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some(certificate) = certificate(&facts.subject)? else {
        return Ok(no_tls());
    };
    let (path, mode) = (&certificate.key_path, certificate.key_mode);
    let evidence = format!("{path} has mode {mode:04o}");
    if mode & (OTHERS | GROUP_WRITES) == 0 {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        "others than its owner can read or replace the private key",
        evidence,
        Remedy::command("take these rights away", format!("chmod 0600 {path}")),
    ))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, host, fit) in [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("10.0.0.5", "10.0.0.5", true),
            ("b.example.com", "a.example.com", false),
        ] {
            assert_eq!(fits(name, host), fit, "{name} {host}");
        }
    }
}
