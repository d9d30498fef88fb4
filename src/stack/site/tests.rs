//! What operators write, right and wrong.

use proptest::prelude::*;

use super::*;
use crate::stack::site_key::SiteKey;
use crate::stack::testing::stack;

const LEAST: &str =
    "schema = 1\nurl = \"http://langfuse.lan:3000\"\n[admin]\nemail = \"ops@example.com\"\n";

fn problems(text: &str) -> Vec<String> {
    match SiteConfig::parse_for(text, &stack()) {
        Err(SiteError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems in\n{text}\ngot {other:?}"),
    }
}

/// The one problem of [`LEAST`] with `more` behind it.
fn problem_of(more: &str) -> String {
    let problems = problems(&format!("{LEAST}{more}\n"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

fn answers() -> Answers {
    Answers {
        url: "https://langfuse.example.com".to_owned(),
        listen: "0.0.0.0:443".parse().unwrap(),
        behind_proxy: false,
        tls: Some(TlsFiles {
            certificate: "/etc/ssl/a b.crt".into(),
            key: "/etc/ssl/a\"b.key".into(),
        }),
        admin: Admin {
            email: "ops@example.com".to_owned(),
            name: "Ada \"Root\" Löwe \\ 日本".to_owned(),
        },
        organization: Named {
            id: "acme".to_owned(),
            name: "Acme's".to_owned(),
        },
        project: Named {
            id: "p1".to_owned(),
            name: "One".to_owned(),
        },
    }
}

#[test]
fn little_is_enough() {
    let site = SiteConfig::parse_for(LEAST, &stack()).unwrap();
    assert_eq!(site.listen.to_string(), "0.0.0.0:3000");
    assert_eq!(site.organization.id, "default");
    let values = site.values(None);
    assert_eq!(values[&SiteKey::Url].expose(), "http://langfuse.lan:3000");
    assert_eq!(values[&SiteKey::Scheme].expose(), "http");
    assert_eq!(values[&SiteKey::Host].expose(), "langfuse.lan");
}

#[test]
fn every_site_key_has_a_value() {
    let site = SiteConfig::parse(LEAST).unwrap();
    let tls = TlsMaterial::parse("-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----");
    let values = site.values(Some(&tls.unwrap()));
    assert_eq!(values.into_keys().collect::<Vec<_>>(), SiteKey::ALL);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = r#"schema = 1
url = "https://langfuse.lan:3000/base"
listen = "3000"
colour = "red"
[tls]
certificate = "site.crt"
[admin]
email = "ops"
name = 7
[project]
id = "my project"
[secrets]
encryption-key = "0000000000000000000000000000000000000000000000000000000000000000"
salt = "short"
unknown = "abcdefgh"
[env]
gateway = {}
[env.web]
HTTPS_PROXY = "http://proxy:3128"
TELEMETRY_ENABLED = "true"
LANGFUSE_CSP_ENFORCE_HTTPS = "TRUE"
DD_AGENT_HOST = "apm"
LANGFUSE_EE_LICENSE_KEY = "langfuse_ee_x"
PORT = 3000
"#;
    insta::assert_snapshot!(problems(text).join("\n"));
}

#[test]
fn says_where_the_toml_breaks() {
    let error = SiteConfig::parse("schema = 1\nurl = \"x\n").unwrap_err();
    assert!(
        matches!(error, SiteError::Syntax { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_newer_file_is_refused_whatever_else_it_holds() {
    let error = SiteConfig::parse("schema = 2\nfuture = true\n").unwrap_err();
    assert_eq!(error, SiteError::NewerSchema { found: 2 });
}

#[test]
fn https_needs_something_that_terminates_it() {
    let https = LEAST.replace("http://langfuse.lan:3000", "https://langfuse.lan");
    let found = problems(&https);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("nothing terminates TLS"), "{found:#?}");
    assert!(found[1].contains("means port 443"), "{found:#?}");
    let proxied = https.replace("[admin]", "behind-proxy = true\n[admin]");
    assert!(SiteConfig::parse(&proxied).is_ok());
    let with_tls = "[tls]\ncertificate = \"/a.crt\"\nkey = \"/a.key\"\n";
    assert!(problem_of(with_tls).contains("is http, but"));
}

#[test]
fn addresses_that_langfuse_refuses_are_refused_here() {
    for good in ["a@b.co", "first.last+tag@sub-1.example.com", "o'neil@x.org"] {
        assert!(rules::email(good).is_ok(), "{good} was refused");
    }
    for bad in [
        "",
        "a",
        "a@",
        "@b.co",
        "a@b",
        "a@localhost",
        "a@b.c",
        "a@b.c0",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.de",
        "a b@c.de",
        "a@-b.co",
        "a@b@c.de",
        "\"a\"@b.co",
        "a@b..co",
    ] {
        assert!(rules::email(bad).is_err(), "{bad} was accepted");
    }
}

#[test]
fn variables_that_break_the_promise_are_refused() {
    for (line, word) in [
        ("http_proxy = \"http://p\"", "proxy"),
        ("AUTH_HTTPS_PROXY = \"http://p\"", "proxy"),
        ("NODE_USE_ENV_PROXY = \"1\"", "proxy"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT = \"http://x\"", "another host"),
        ("NEXT_PUBLIC_BASE_PATH = \"/x\"", "built into the image"),
        ("TZ = \"Europe/Berlin\"", "UTC"),
        ("REDIS_TLS_CA = \"/ca\"", "REDIS_TLS_CA_PATH"),
        ("SMTP_CONNECTION_URL = \"\"", "empty"),
        ("lower = \"x\"", "not the name of a variable"),
        ("AUTH_SESSION_MAX_AGE = \"5\"", "out of range"),
        ("LANGFUSE_IN_APP_AGENT_ENABLED = \"true\"", "langfuse.com"),
        ("LANGFUSE_INIT_ORG_ID = \"x\"", "set by the release"),
        ("REDIS_KEY_PREFIX = \"x\"", "equal in web and worker"),
        ("TELEMETRY_ENABLED = \"true\"", "set by the release"),
        ("AUTH_DISABLE_SIGNUP = \"no\"", "false"),
        ("LANGFUSE_LOG_LEVEL = \"INFO\"", "info"),
        ("LANGFUSE_LOG_FORMAT = \"yaml\"", "json"),
        ("LANGFUSE_LOG_LEVEL = true", "double quotes"),
    ] {
        let problem = problem_of(&format!("[env.web]\n{line}"));
        assert!(problem.contains(word), "{line}: {problem}");
        assert!(problem.starts_with("line 6: `env.web."), "{problem}");
    }
    let open = "[env.web]\nAUTH_DISABLE_SIGNUP = \"false\"\n";
    assert!(SiteConfig::parse_for(&format!("{LEAST}{open}"), &stack()).is_ok());
    let equal = "[env.web]\nREDIS_KEY_PREFIX = \"x\"\n[env.worker]\nREDIS_KEY_PREFIX = \"x\"\n";
    assert!(SiteConfig::parse_for(&format!("{LEAST}{equal}"), &stack()).is_ok());
}

#[test]
fn overridden_secrets_keep_to_the_rules_of_the_stack() {
    let hex = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    for good in [
        format!("encryption-key = \"{hex}\""),
        // Not part of a URL: what `openssl rand -base64 32` prints is fine.
        "salt = \"x+/=x+/=x+/=\"".to_owned(),
        "postgres-password = \"a-b.c_d~e\"".to_owned(),
        "public-key = \"pk-lf-01234567\"".to_owned(),
    ] {
        let text = format!("{LEAST}[secrets]\n{good}\n");
        assert!(SiteConfig::parse_for(&text, &stack()).is_ok(), "{good}");
    }
    for (line, word) in [
        (format!("encryption-key = \"{}\"", "g".repeat(64)), "64 hex"),
        (format!("encryption-key = \"{}\"", &hex[1..]), "64 hex"),
        (
            "postgres-password = \"miniosecret\"".to_owned(),
            "everyone knows",
        ),
        ("postgres-password = \"p@ssword:1\"".to_owned(), "in a URL"),
        ("clickhouse-password = \"a&b=c#d?\"".to_owned(), "in a URL"),
        ("salt = \"with space inside\"".to_owned(), "spaces"),
        ("admin-password = \"1234567\"".to_owned(), "shorter than 8"),
        ("secret-key = \"01234567890\"".to_owned(), "sk-lf-"),
        (
            "other = \"01234567890\"".to_owned(),
            "not a secret of this release",
        ),
    ] {
        let problem = problem_of(&format!("[secrets]\n{line}"));
        assert!(problem.contains(word), "{line}: {problem}");
        let value = line.split('"').nth(1).unwrap();
        assert!(!problem.contains(value), "shows the value: {problem}");
    }
}

#[test]
fn the_template_reads_back_as_answered() {
    let mut answers = answers();
    for tls in [answers.tls.clone(), None] {
        if tls.is_none() {
            answers.url = "http://10.1.2.3:8000".to_owned();
            answers.listen = "10.1.2.3:8000".parse().unwrap();
        }
        answers.tls = tls;
        let text = SiteConfig::template(&answers);
        let site = SiteConfig::parse_for(&text, &stack()).unwrap();
        assert_eq!(site.url.to_string(), answers.url);
        assert_eq!(site.listen, answers.listen);
        assert_eq!(site.tls, answers.tls);
        assert_eq!(site.admin, answers.admin);
        assert_eq!(site.organization, answers.organization);
        assert_eq!(site.project, answers.project);
    }
    insta::assert_snapshot!(SiteConfig::template(&answers));
}

#[test]
fn the_manual_names_every_key_of_the_template() {
    let manual = include_str!("../../../docs/site.md");
    let template = SiteConfig::template(&answers());
    for line in template.lines() {
        let key = line
            .trim_start_matches("# ")
            .split(" = ")
            .next()
            .unwrap_or_default();
        if line.contains(" = ") && !line.contains("LANGFUSE_") {
            assert!(manual.contains(&format!("`{key}`")), "{key} is missing");
        }
    }
}

#[test]
fn tls_files_must_be_usable_by_the_gateway() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n\n";
    let material = TlsMaterial::parse(certificate, key).unwrap();
    assert!(material.certificate.ends_with("CERTIFICATE-----\n"));
    assert!(material.key.expose().ends_with("KEY-----\n"));
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let both = format!("{certificate}\n{key}");
    for (certificate, key) in [
        ("", key),
        (certificate, ""),
        (certificate, &encrypted),
        (&both, key),
        (key, certificate),
    ] {
        assert!(TlsMaterial::parse(certificate, key).is_err());
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = SiteConfig::parse(&text);
        let _ = SiteConfig::parse(&format!("{LEAST}[env.web]\nX = {text}"));
    }

    #[test]
    fn any_name_survives_the_template(name in "[^\\p{Cc}]{1,30}") {
        prop_assume!(!name.trim().is_empty() && name.len() <= 120);
        let mut answers = answers();
        answers.admin.name = name.clone();
        let site = SiteConfig::parse(&SiteConfig::template(&answers)).unwrap();
        prop_assert_eq!(site.admin.name, name);
    }

    #[test]
    fn an_origin_reads_back(host in "[a-z][a-z0-9]{0,9}(\\.[a-z]{2,5})?", port in 1_u16.., tls: bool) {
        let scheme = if tls { "https" } else { "http" };
        let origin = Origin::parse(&format!("{scheme}://{host}:{port}")).unwrap();
        prop_assert_eq!(Origin::parse(&origin.to_string()).unwrap(), origin);
    }
}

#[test]
fn a_misspelt_key_is_the_only_problem_that_it_makes() {
    let least = LEAST.replace("schema = 1\n", "schema = 1\nlisten = \"0.0.0.0:3000\"\n");
    for (right, wrong, meant) in [
        ("url =", "ulr =", "url"),
        ("listen =", "lsten =", "listen"),
        ("email =", "e-mail =", "email"),
    ] {
        let text = least.replace(right, wrong).replace("lan:3000", "lan:4000");
        let text = if meant == "listen" {
            text
        } else {
            text.replace("4000", "3000")
        };
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let hint = format!("did you mean `{meant}`?");
        assert!(problems[0].ends_with(&hint), "{problems:?}");
    }
    assert!(problem_of("colour = 1").contains("known here: "));
}
