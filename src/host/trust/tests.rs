use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use secrecy::ExposeSecret;

use super::*;
use crate::sign::{
    IntroducedKey, KeyId, SecretKey, SignError, Signature, TrustStatement, TrustedKey, generate,
};

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
}

fn key() -> SecretKey {
    let new = generate(None).unwrap();
    SecretKey::parse(new.secret.expose_secret(), None).unwrap()
}

/// A key of somebody who wants the id of another one.
fn key_with_the_id_of(other: &TrustedKey) -> TrustedKey {
    let [mut bytes, id] =
        [key().public(), other].map(|key| STANDARD.decode(key.to_base64()).unwrap());
    bytes[2..10].copy_from_slice(&id[2..10]);
    TrustedKey::from_base64(&STANDARD.encode(bytes)).unwrap()
}

/// Does what a statement says; returns what it changed.
fn apply(
    mut store: TrustStore,
    statement: &TrustStatement,
    signer: KeyId,
) -> (Result<(), SignError>, Vec<TrustChange>) {
    let mut changes = Vec::new();
    let result = store.apply(statement, signer, |change| {
        changes.push(change);
        Ok(())
    });
    (result, changes)
}

#[test]
fn each_refusal_has_its_own_words() {
    let host = Host::new();
    let (key, other) = (key(), key());
    let signature = Signature::parse(&key.sign(b"x", "c").unwrap()).unwrap();

    let mut store = host.store();
    let error = store.verify(b"x", &signature).unwrap_err();
    assert!(matches!(error, SignError::NoTrustedKeys(_)), "{error}");

    store.add(other.public(), None).unwrap();
    let error = store.verify(b"x", &signature).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&key.public().id().to_string()), "{text}");
    assert!(text.contains(&other.public().id().to_string()), "{text}");

    store.add(key.public(), None).unwrap();
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
    let key = key();
    let id = key.public().id();
    let mut store = host.store();
    store.add(key.public(), None).unwrap();
    store.add(key.public(), None).unwrap();
    let listed: Vec<_> = host.store().list().map(|stored| stored.key.id()).collect();
    assert_eq!(listed, [id]);

    store.revoke(id).unwrap();
    let mut store = host.store();
    assert!(store.list().all(|stored| stored.revoked));
    let again = store.add(key.public(), None);
    assert!(matches!(again, Err(SignError::Revoked(_))));
}

#[test]
fn a_key_that_is_named_is_held_against_the_revocations_of_the_host() {
    let host = Host::new();
    let (known, named) = (key(), key());
    host.store().add(known.public(), None).unwrap();
    let sign = |key: &SecretKey| Signature::parse(&key.sign(b"x", "c").unwrap()).unwrap();
    let only = || host.store().with_only([named.public().clone()]);
    only().verify(b"x", &sign(&named)).unwrap();
    let error = only().verify(b"x", &sign(&known)).unwrap_err();
    assert!(matches!(error, SignError::UnknownKey { .. }), "{error}");
    host.store().revoke(named.public().id()).unwrap();
    let error = only().verify(b"x", &sign(&named)).unwrap_err();
    assert!(matches!(error, SignError::Revoked(_)), "{error}");
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
#[expect(
    clippy::too_many_lines,
    reason = "one host, told from the first key to the last"
)]
fn a_trusted_key_introduces_and_revokes_and_a_revoked_one_never_returns() {
    let host = Host::new();
    let [old, new, stranger] = [key(), key(), key()].map(|key| key.public().clone());
    host.store().add(&old, None).unwrap();
    let rotation = TrustStatement {
        introduce: vec![IntroducedKey(new.clone())],
        revoke: vec![old.id()],
        ..TrustStatement::default()
    };
    assert!(matches!(
        apply(host.store(), &rotation, stranger.id()).0,
        Err(SignError::UnknownKey { .. })
    ));
    let (result, changes) = apply(host.store(), &rotation, old.id());
    result.unwrap();
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
    apply(host.store(), &rotation, old.id()).0.unwrap_err();
    let last = TrustStatement {
        introduce: Vec::new(),
        revoke: vec![new.id(), "0000000000000007".parse().unwrap()],
        ..TrustStatement::default()
    };
    let (_, changes) = apply(host.store(), &last, new.id());
    let signer = TrustChange::Revoked {
        key: new.id(),
        signer: new.id(),
    };
    assert_eq!(changes.last(), Some(&signer));
    fs::remove_file(host.dir.path().join("revoked-keys")).unwrap();
    host.store().revoke(old.id()).unwrap();
    let again = TrustStatement {
        introduce: vec![IntroducedKey(old.clone()), IntroducedKey(stranger.clone())],
        revoke: vec![stranger.id()],
        ..TrustStatement::default()
    };
    let (_, changes) = apply(host.store(), &again, new.id());
    assert_eq!(
        changes,
        [TrustChange::Revoked {
            key: stranger.id(),
            signer: new.id()
        }]
    );
    let store = host.store();
    assert!(!store.is_trusted(old.id()) && !store.is_trusted(stranger.id()));
    assert!(apply(host.store(), &again, new.id()).1.is_empty());
    // One that was revoked before anybody had it is not even stored.
    let void = key();
    host.store().revoke(void.public().id()).unwrap();
    let void = TrustStatement {
        introduce: vec![IntroducedKey(void.public().clone())],
        revoke: Vec::new(),
        ..TrustStatement::default()
    };
    assert!(apply(host.store(), &void, new.id()).1.is_empty());
}

#[test]
fn a_key_that_is_not_taken_changes_nothing_of_who_holds_what() {
    let host = Host::new();
    let file = host.dir.path().join("trust-policy.toml");
    let [one, void] = [key(), key()].map(|key| key.public().clone());
    let store = || {
        let policy = TrustPolicy::load(&file).unwrap();
        host.store().under(policy, file.clone())
    };
    store().add(&one, Some("vendor")).unwrap();
    store().revoke(void.id()).unwrap();
    let evil = key_with_the_id_of(&one);
    let conflict = store().add(&evil, Some("security"));
    assert!(matches!(conflict, Err(SignError::Conflict(_))));
    store().add(&void, Some("security")).unwrap_err();
    assert_eq!(store().policy().holder(one.id()), "vendor");
    assert_eq!(store().policy().holder(void.id()), void.id().to_string());
    store().add(&one, Some("security")).unwrap();
    assert_eq!(store().policy().holder(one.id()), "security");
}

#[test]
fn a_key_with_the_id_of_another_keeps_none_from_being_revoked() {
    let [stolen, other, new] = [key(), key(), key()].map(|key| key.public().clone());
    for signer in [&stolen, &other] {
        let host = Host::new();
        for key in [&stolen, &other, &key_with_the_id_of(&new)] {
            host.store().add(key, None).unwrap();
        }
        let more = key().public().clone();
        let rotation = TrustStatement {
            introduce: vec![IntroducedKey(new.clone()), IntroducedKey(more.clone())],
            revoke: vec![stolen.id()],
            ..TrustStatement::default()
        };
        let (result, changes) = apply(host.store(), &rotation, signer.id());
        let is_named = matches!(result, Err(SignError::Conflict(id)) if id == new.id());
        assert!(is_named && changes.len() == 2, "{changes:?}");
        let store = host.store();
        assert!(!store.is_trusted(stolen.id()) && store.is_trusted(more.id()));
    }
}

#[test]
fn each_change_is_told_before_it_is_made() {
    let host = Host::new();
    let [old, new] = [key(), key()].map(|key| key.public().clone());
    host.store().add(&old, None).unwrap();
    let rotation = TrustStatement {
        introduce: vec![IntroducedKey(new.clone())],
        revoke: vec![old.id()],
        ..TrustStatement::default()
    };
    let full = || SignError::Io(io::ErrorKind::StorageFull.into());
    let refuse = |_| Err(full());
    host.store().apply(&rotation, old.id(), refuse).unwrap_err();
    assert!(!host.store().is_trusted(new.id()));
    let only_new = |change| match change {
        TrustChange::Introduced { .. } => Ok(()),
        TrustChange::Revoked { .. } => Err(full()),
    };
    host.store()
        .apply(&rotation, old.id(), only_new)
        .unwrap_err();
    assert!(host.store().is_trusted(new.id()) && host.store().is_trusted(old.id()));
}
