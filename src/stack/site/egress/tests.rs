use super::*;
use crate::stack::testing::stack;

const LEAST: &str =
    "schema = 1\nurl = \"http://langfuse.lan:3000\"\n[admin]\nemail = \"ops@example.com\"\n";

fn entry(name: &str, to: &str, more: &str) -> String {
    format!(
        "[[egress]]\nname = \"{name}\"\nto = \"{to}\"\nservices = [\"web\"]\n\
         purpose = \"x\"\n{more}\n"
    )
}

fn problems(text: &str) -> Vec<String> {
    match SiteConfig::parse_for(&format!("{LEAST}{text}"), &stack()) {
        Err(crate::stack::site::SiteError::Invalid(problems)) => {
            problems.iter().map(ToString::to_string).collect()
        }
        Ok(_) => Vec::new(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_entry_says_who_reaches_what_and_what_for() {
    let text = [
        entry("llm", "LLM.example.com:443", ""),
        entry("idp", "idp.example.com:443", "address = \"10.1.2.3\""),
        entry("db", "10.9.8.7:5432", ""),
    ]
    .concat();
    let site = SiteConfig::parse_for(&format!("{LEAST}{text}"), &stack()).unwrap();
    let shown: Vec<_> = site
        .egress
        .iter()
        .map(|entry| format!("{} {}", entry.alias(), entry.target()))
        .collect();
    assert_eq!(
        shown,
        [
            "llm.example.com llm.example.com:443",
            "idp.example.com 10.1.2.3:443",
            "db 10.9.8.7:5432"
        ]
    );
}

#[test]
fn what_cannot_work_is_refused_with_its_line() {
    for (text, why) in [
        (
            entry("llm", "llm.example.com", ""),
            "not a host with a port",
        ),
        (entry("llm", "llm.example.com:0", ""), "port 0"),
        (entry("llm", "[2001:db8::1]:443", ""), "IPv6"),
        (entry("llm", "127.0.0.1:443", ""), "another host"),
        (entry("llm", "169.254.169.254:80", ""), "another host"),
        (entry("llm", "localhost:443", ""), "not a host with a port"),
        (entry("llm", "a;b:443", ""), "not a host with a port"),
        (entry("l l", "a.example:443", ""), "`egress.1.name`"),
        (entry("llm", "langfuse.com:443", ""), "calls home"),
        (entry("llm", "postgres:443", ""), "service of the stack"),
        (entry("llm", "a.example:443", "more = 1"), "not a key"),
        (
            entry("a", "a.example:25", "") + &entry("b", "b.example:25", ""),
            "line 13: `egress.2.to` shares port 25",
        ),
        (
            entry("a", "a.example:443", "") + &entry("a", "b.example:443", ""),
            "another entry",
        ),
        (
            entry("a", "a.example:443", "") + &entry("b", "a.example:443", ""),
            "in the list already",
        ),
        (
            entry("a", "a.example:443", "").replace("\"web\"", "\"postgres\""),
            "stays sealed",
        ),
        (
            entry("a", "a.example:443", "").replace("[\"web\"]", "[]"),
            "not a list of texts",
        ),
        ("[[egress]]\n".to_owned(), "`egress.1.to` is missing"),
    ] {
        let problems = problems(&text);
        assert!(
            problems.iter().any(|problem| problem.contains(why)),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn a_setting_without_a_route_is_refused_with_the_lines_to_add() {
    let mail = "[env.web]\nSMTP_CONNECTION_URL = \"smtp://me:secret@mail.example.com:2525/\"\n";
    let refused = problems(mail);
    assert_eq!(refused.len(), 1, "{refused:?}");
    for part in [
        "mail.example.com:2525, which web cannot reach",
        "`name = \"mail\"`",
        "`to = \"mail.example.com:2525\"`",
        "`services = [\"web\"]`",
    ] {
        assert!(refused[0].contains(part), "{part}: {}", refused[0]);
    }
    assert!(!refused[0].contains("secret"));
    let allowed = entry("mail", "mail.example.com:2525", "");
    assert_eq!(problems(&format!("{mail}{allowed}")), Vec::<String>::new());
    // Another service, another port.
    let other = allowed.replace("\"web\"", "\"worker\"");
    assert_eq!(problems(&format!("{mail}{other}")).len(), 1);
    let other = allowed.replace("2525", "25");
    assert_eq!(problems(&format!("{mail}{other}")).len(), 1);
    for harmless in [
        "[env.web]\nLANGFUSE_UI_SUPPORT_HREF = \"https://help.example.com\"\n",
        "[env.web]\nAUTH_CUSTOM_NAME = \"company: sign in\"\n",
    ] {
        assert_eq!(problems(harmless), Vec::<String>::new());
    }
    let issuer = "[env.web]\nAUTH_KEYCLOAK_ISSUER = \"https://10.1.2.3/realms/x\"\n";
    assert!(problems(issuer)[0].contains("`target` in place of the address"));
}
