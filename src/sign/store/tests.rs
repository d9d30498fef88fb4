use super::*;
use crate::sign::{SecretKey, generate};
use secrecy::ExposeSecret;

struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }
    fn store(&self) -> TrustStore {
        TrustStore::load(
            &self.dir.path().join("trusted-keys.d"),
            &self.dir.path().join("revoked-keys"),
        )
        .unwrap()
    }
    fn key(&self) -> (SecretKey, PathBuf) {
        let new = generate(None).unwrap();
        let key = SecretKey::parse(new.secret.expose_secret(), None).unwrap();
        let file = self
            .dir
            .path()
            .join(format!("{}.key.pub", key.public().id()));
        fs::write(&file, key.public().to_text()).unwrap();
        (key, file)
    }
}

#[test]
fn each_refusal_has_its_own_words() {
    let host = Host::new();
    let (key, file) = host.key();
    let (_, other_file) = host.key();
    let signature = Signature::parse(&key.sign(b"x", "c").unwrap()).unwrap();

    let mut store = host.store();
    let error = store.verify(b"x", &signature).unwrap_err();
    assert!(matches!(error, SignError::NoTrustedKeys(_)), "{error}");

    let other = store.add(&other_file).unwrap();
    let error = store.verify(b"x", &signature).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&key.public().id().to_string()), "{text}");
    assert!(text.contains(&other.to_string()), "{text}");

    store.add(&file).unwrap();
    assert_eq!(store.verify(b"x", &signature).unwrap(), key.public().id());
    let error = store.verify(b"y", &signature).unwrap_err();
    assert!(matches!(error, SignError::Wrong { .. }), "{error}");

    store.revoke(key.public().id()).unwrap();
    for store in [store, host.store()] {
        let error = store.verify(b"x", &signature).unwrap_err();
        assert!(matches!(error, SignError::Revoked(_)), "{error}");
    }
}

#[test]
fn what_is_added_is_there_next_time_and_revoking_is_final() {
    let host = Host::new();
    let (_, file) = host.key();
    let mut store = host.store();
    let id = store.add(&file).unwrap();
    assert_eq!(store.add(&file).unwrap(), id);
    let listed: Vec<_> = host.store().list().map(|stored| stored.key.id()).collect();
    assert_eq!(listed, [id]);

    store.revoke(id).unwrap();
    let mut store = host.store();
    assert!(store.list().all(|stored| stored.revoked));
    assert!(matches!(store.add(&file), Err(SignError::Revoked(_))));
}

#[test]
fn a_broken_key_file_is_named() {
    let host = Host::new();
    fs::create_dir_all(host.dir.path().join("trusted-keys.d")).unwrap();
    fs::write(host.dir.path().join("trusted-keys.d/a.pub"), "nonsense").unwrap();
    let error = TrustStore::load(
        &host.dir.path().join("trusted-keys.d"),
        &host.dir.path().join("revoked-keys"),
    )
    .unwrap_err();
    assert!(error.to_string().contains("a.pub"), "{error}");
}

#[test]
fn a_trusted_key_introduces_and_revokes_and_a_revoked_one_never_returns() {
    let host = Host::new();
    let (old, file) = host.key();
    let (new, _) = host.key();
    let (stranger, _) = host.key();
    let (old, new, stranger) = (
        old.public().clone(),
        new.public().clone(),
        stranger.public().clone(),
    );
    host.store().add(&file).unwrap();
    let rotation = TrustStatement {
        introduce: vec![IntroducedKey(new.clone())],
        revoke: vec![old.id()],
    };
    assert!(matches!(
        host.store().apply(&rotation, stranger.id()),
        Err(SignError::UnknownKey { .. })
    ));
    let changes = host.store().apply(&rotation, old.id()).unwrap();
    assert_eq!(
        changes,
        [
            TrustChange::Introduced {
                key: new.id(),
                signer: old.id()
            },
            TrustChange::Revoked {
                key: old.id(),
                signer: old.id()
            },
        ]
    );
    let store = host.store();
    assert!(store.is_trusted(new.id()) && !store.is_trusted(old.id()));
    // The same again, from an old bundle: its key is void by now.
    assert!(host.store().apply(&rotation, old.id()).is_err());
    let last = TrustStatement {
        introduce: Vec::new(),
        revoke: vec![new.id(), KeyId::from_bytes(&[7])],
    };
    let changes = host.store().apply(&last, new.id());
    let signer = TrustChange::Revoked {
        key: new.id(),
        signer: new.id(),
    };
    assert_eq!(changes.unwrap().last(), Some(&signer));
    fs::remove_file(host.dir.path().join("revoked-keys")).unwrap();
    host.store().revoke(old.id()).unwrap();
    let again = TrustStatement {
        introduce: vec![IntroducedKey(old.clone()), IntroducedKey(stranger.clone())],
        revoke: vec![stranger.id()],
    };
    let changes = host.store().apply(&again, new.id()).unwrap();
    assert_eq!(
        changes,
        [TrustChange::Revoked {
            key: stranger.id(),
            signer: new.id()
        }]
    );
    let store = host.store();
    assert!(!store.is_trusted(old.id()) && !store.is_trusted(stranger.id()));
    assert!(host.store().apply(&again, new.id()).unwrap().is_empty());
    // One that was revoked before anybody had it is not even stored.
    let (void, _) = host.key();
    host.store().revoke(void.public().id()).unwrap();
    let void = TrustStatement {
        introduce: vec![IntroducedKey(void.public().clone())],
        revoke: Vec::new(),
    };
    assert!(host.store().apply(&void, new.id()).unwrap().is_empty());
}
