//! Writes the `site.toml` that an operator goes on with.

use std::net::SocketAddr;

use super::{Admin, Named, SCHEMA, TlsFiles};

/// What the wizard asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The public address as typed.
    pub url: String,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Whether something in front terminates TLS or maps ports.
    pub behind_proxy: bool,
    /// Certificate and key of the gateway.
    pub tls: Option<TlsFiles>,
    /// The first user.
    pub admin: Admin,
    /// The first organization.
    pub organization: Named,
    /// The first project.
    pub project: Named,
}

/// The file, with a comment for every key, also for those not in use.
#[expect(clippy::too_many_lines, reason = "one text, as the operator sees it")]
pub(super) fn write(answers: &Answers) -> String {
    let (mark, certificate, key) = match &answers.tls {
        Some(tls) => (
            "",
            quoted(&tls.certificate.to_string_lossy()),
            quoted(&tls.key.to_string_lossy()),
        ),
        None => (
            "# ",
            quoted("/etc/ssl/langfuse.crt"),
            quoted("/etc/ssl/langfuse.key"),
        ),
    };
    let Answers {
        admin,
        organization,
        project,
        ..
    } = answers;
    format!(
        r#"# What this installation of Langfuse depends on, beside the release itself.
# Unknown keys are errors. Changes take effect with `lfctl install`.
schema = {SCHEMA}

# The address that people and SDKs use: scheme, host and port, no path.
# Changing it later ends all sessions.
url = {url}
# Where the gateway, the only published port, listens on this host.
listen = {listen}
# true when something in front of this host terminates TLS or maps ports.
behind-proxy = {behind_proxy}

# The gateway's certificate (PEM, with its chain) and key (PEM, no passphrase).
{mark}[tls]
{mark}certificate = {certificate}
{mark}key = {key}

# The first user. The password is made by lfctl.
[admin]
email = {email}
name = {admin_name}

# Ids never change; names are for people and can be changed in Langfuse.
[organization]
id = {organization_id}
name = {organization_name}

[project]
id = {project_id}
name = {project_name}

# Certificates of authorities that only this site knows, for web and worker.
# [ca]
# bundle = "/etc/ssl/site-ca.pem"

# What web and worker may reach outside; without an entry, nothing.
# [[egress]]
# name = "llm"
# to = "llm.example.com:443"
# services = ["web", "worker"]
# purpose = "LLM gateway"

# After how many days doctor warns of an old backup, or an old drill.
# [backup]
# max-age-days = 7
# max-drill-age-days = 90

# Secrets are made by lfctl. Set one only to adopt an existing installation.
# [secrets]
# encryption-key = "…64 hex digits…"

# Further variables of Langfuse, as text. What the release sets is not allowed.
# [env.web]
# LANGFUSE_LOG_LEVEL = "info"
# [env.worker]
# LANGFUSE_LOG_LEVEL = "info"
"#,
        url = quoted(&answers.url),
        listen = quoted(&answers.listen.to_string()),
        behind_proxy = answers.behind_proxy,
        email = quoted(&admin.email),
        admin_name = quoted(&admin.name),
        organization_id = quoted(&organization.id),
        organization_name = quoted(&organization.name),
        project_id = quoted(&project.id),
        project_name = quoted(&project.name),
    )
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
