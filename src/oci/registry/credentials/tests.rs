use secrecy::ExposeSecret;

use super::*;

fn shown(credentials: &Credentials, registry: &str, repository: &str) -> Result<String, String> {
    let looked = futures_util::FutureExt::now_or_never(credentials.of(registry, repository));
    let looked = looked.unwrap();
    let known = looked.known.ok_or_else(|| looked.problems.join("; "))?;
    Ok(match known.login {
        Login::Password(user, password) => format!("{user}:{}", password.expose_secret()),
        Login::Identity(token) => format!("token {}", token.expose_secret()),
        Login::Bearer(token) => format!("bearer {}", token.expose_secret()),
    })
}

fn parse(text: &str) -> Credentials {
    Credentials::parse(text).unwrap()
}

#[test]
fn finds_the_login_of_a_registry() {
    let credentials = parse(
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"},
            "ghcr.io": {"auth": "Ym90OnRva2Vu"},
            "azure.example": {"auth": "MDA6", "identitytoken": "abc"},
            "token.example": {"registrytoken": "def"},
            "helper.example": {},
            "null.example": null
        }}"#,
    );
    for (registry, login) in [
        ("docker.io", Ok("user:pass")),
        ("index.docker.io", Ok("user:pass")),
        ("ghcr.io", Ok("bot:token")),
        ("azure.example", Ok("token abc")),
        ("token.example", Ok("bearer def")),
        ("helper.example", Err("")),
        ("null.example", Err("")),
        ("other.example", Err("")),
    ] {
        let wanted = login.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(shown(&credentials, registry, "a"), wanted, "{registry}");
    }
    let debug = format!("{credentials:?}");
    assert!(
        !debug.contains("token abc") && !debug.contains("pass"),
        "{debug}"
    );
}

#[test]
fn entries_are_read_as_dockers_client_reads_them() {
    for (entry, login) in [
        (
            r#"{"username": "user", "password": "pass"}"#,
            Ok("user:pass"),
        ),
        (
            r#"{"Username": "user", "PASSWORD": "pass", "email": null}"#,
            Ok("user:pass"),
        ),
        (r#"{"auth": "dXNl\ncjpw\r\nYXNz\n"}"#, Ok("user:pass")),
        (r#"{"auth": "dXNlcjpwYTpzcw"}"#, Ok("user:pa:ss")),
        (
            r#"{"auth": null, "username": "user", "password": "pass"}"#,
            Ok("user:pass"),
        ),
        (r#"{"auth": "", "identitytoken": ""}"#, Err("")),
        (r#"{"auth": "not base64!"}"#, Err("not base64")),
        (r#"{"auth": "dXNlcg=="}"#, Err("no user name and password")),
        (r#"{"auth": "OnBhc3M="}"#, Err("no user name and password")),
        (r#"{"auth": 7}"#, Err("is not text")),
        (r#"{"username": "user"}"#, Err("no password")),
        (r"[]", Err("not a JSON object")),
    ] {
        let text = format!(r#"{{"auths": {{"r.example": {entry}}}}}"#);
        match (shown(&parse(&text), "r.example", "a"), login) {
            (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{entry}"),
            (Err(found), Err(words)) => {
                assert!(
                    found.contains(words) && found.is_empty() == words.is_empty(),
                    "{found}"
                );
                assert!(words.is_empty() || found.contains("`r.example` in `config.json`"));
            }
            (found, _) => panic!("{entry}: {found:?}"),
        }
    }
}

#[test]
fn a_registry_has_many_spellings() {
    for (key, registry) in [
        ("https://r.example:5000", "r.example:5000"),
        ("http://r.example:5000/v2/", "r.example:5000"),
        ("https://r.example/v1/", "r.example"),
        ("r.example/", "r.example"),
        ("R.Example", "r.example"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://registry-1.docker.io", "docker.io"),
    ] {
        let text = format!(r#"{{"Auths": {{"{key}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#);
        let found = shown(&parse(&text), registry, "library/redis");
        assert_eq!(found.as_deref(), Ok("user:pass"), "{key}");
        assert_eq!(
            shown(&parse(&text), "other.example", "a"),
            Err(String::new())
        );
    }
    // As Podman keeps them.
    let text = r#"{"auths": {
        "r.example": {"auth": "YTph"},
        "r.example/team": {"auth": "Yjpi"},
        "r.example/team/app": {"auth": "Yzpj"}
    }}"#;
    for (repository, login) in [
        ("other", "a:a"),
        ("teamwork/app", "a:a"),
        ("team/web", "b:b"),
        ("team/app", "c:c"),
    ] {
        assert_eq!(
            shown(&parse(text), "r.example", repository).as_deref(),
            Ok(login)
        );
    }
}

#[test]
fn an_empty_helper_is_none_and_one_that_fails_does_not_hide_a_login() {
    let auths = r#""auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}"#;
    for helper in [
        r#""credHelpers": {"r.example": ""}, "credsStore": "lfctl-none""#,
        r#""credsStore": """#,
        r#""credsStore": null, "credHelpers": null"#,
        r#""CREDHELPERS": {"r.example": "../evil"}"#,
    ] {
        let credentials = parse(&format!("{{{auths}, {helper}}}"));
        assert_eq!(
            shown(&credentials, "r.example", "a").as_deref(),
            Ok("user:pass")
        );
    }
    let problem = shown(&parse(r#"{"credsStore": "a/b"}"#), "r.example", "a").unwrap_err();
    assert!(
        problem.contains("`credsStore` in `config.json`"),
        "{problem}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_the_next_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (bad, good) = (dir.path().join("bad"), dir.path().join("good"));
    fs::write(&bad, "{\"auths\": {\"r.example\": {\"auth\": \"c2VjcmV0").unwrap();
    let secret = r#"{"auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}}"#;
    fs::write(&good, secret).unwrap();
    let missing = dir.path().join("missing");
    let credentials = Credentials::of_files([missing.clone(), bad.clone(), good]);
    assert_eq!(
        shown(&credentials, "r.example", "a").as_deref(),
        Ok("user:pass")
    );
    let problem = shown(
        &Credentials::of_files([missing, bad.clone()]),
        "r.example",
        "a",
    );
    let problem = problem.unwrap_err();
    let name = bad.display().to_string();
    assert!(
        problem.contains(&name) && problem.contains("not JSON"),
        "{problem}"
    );
    assert!(!problem.contains("c2VjcmV0"), "{problem}");
    for wrong in ["[]", "7", r#"{"auths": []}"#] {
        Credentials::parse(wrong).unwrap_err();
    }
    for empty in ["", " \n", "{}", r#"{"auths": null}"#] {
        parse(empty);
    }
}

#[test]
fn the_files_of_docker_and_podman_are_looked_for_where_those_keep_them() {
    let found = |variables: &[(&str, &str)]| -> Vec<String> {
        let paths = paths(|name| {
            let mut all = variables.iter();
            all.find(|(key, _)| *key == name)
                .map(|(_, value)| PathBuf::from(value))
        });
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    let home = ("HOME", "/home/a");
    assert_eq!(
        found(&[home, ("XDG_RUNTIME_DIR", "/run/user/7")]),
        [
            "/home/a/.docker/config.json",
            "/run/user/7/containers/auth.json",
            "/home/a/.config/containers/auth.json",
        ]
    );
    let user = rustix::process::getuid().as_raw();
    assert_eq!(
        found(&[home, ("REGISTRY_AUTH_FILE", "/a"), ("DOCKER_CONFIG", "/d")]),
        [
            "/a".to_owned(),
            "/d/config.json".to_owned(),
            format!("/run/containers/{user}/auth.json"),
            "/home/a/.config/containers/auth.json".to_owned(),
        ]
    );
}
