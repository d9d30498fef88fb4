use super::*;
use proptest::prelude::*;

fn secret() -> SecretKey {
    let new = generate(None).unwrap();
    SecretKey::parse(new.secret.expose_secret(), None).unwrap()
}

#[test]
fn signs_and_verifies() {
    let key = secret();
    let text = key.sign(b"index", "name=a version=1").unwrap();
    assert_eq!(text.len(), signature_len("name=a version=1"));
    let signature = Signature::parse(&text).unwrap();
    assert_eq!(signature.key_id(), key.public().id());
    assert_eq!(signature.trusted_comment(), "name=a version=1");
    key.public().verify(b"index", &signature).unwrap();
    let error = key.public().verify(b"other", &signature).unwrap_err();
    assert!(matches!(error, SignError::Wrong { .. }), "{error}");
    assert!(secret().public().verify(b"index", &signature).is_err());
}

#[test]
fn the_same_bytes_have_the_same_signature() {
    let key = secret();
    let text = key.sign(b"index", "name=a").unwrap();
    assert_eq!(key.sign(b"index", "name=a").unwrap(), text);
    assert_ne!(key.sign(b"other", "name=a").unwrap(), text);
}

#[test]
fn a_password_protects_the_key() {
    let password = SecretString::from("correct horse");
    let new = generate(Some(&password)).unwrap();
    let text = new.secret.expose_secret();
    assert!(SecretKey::is_protected(text));
    let key = SecretKey::parse(text, Some(&password)).unwrap();
    assert_eq!(key.public(), &new.public);
    assert!(matches!(
        SecretKey::parse(text, None),
        Err(SignError::PasswordNeeded)
    ));
    assert!(matches!(
        SecretKey::parse(text, Some(&SecretString::from("wrong"))),
        Err(SignError::WrongPassword)
    ));
}

#[test]
fn a_damaged_key_without_checksum_is_refused() {
    let new = generate(None).unwrap();
    let line = new.secret.expose_secret().lines().nth(1).unwrap();
    let mut bytes = STANDARD.decode(line).unwrap();
    let parse = |bytes: &[u8]| {
        let text = format!("untrusted comment: x\n{}\n", STANDARD.encode(bytes));
        SecretKey::parse(&text, None)
    };
    bytes[SECRET_KEY_BYTES - CHECKSUM_BYTES..].fill(0);
    assert_eq!(parse(&bytes).unwrap().public(), &new.public);
    bytes[70] ^= 1;
    assert!(matches!(parse(&bytes), Err(SignError::MalformedKey { .. })));
}

#[test]
fn public_keys_round_trip() {
    let key = secret();
    let back = TrustedKey::parse(&key.public().to_text()).unwrap();
    assert_eq!(&back, key.public());
    assert_eq!(back.id(), key.public().id());
    for bad in ["", "untrusted comment: x", "untrusted comment: x\nRWQ"] {
        assert!(TrustedKey::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn words_and_fingerprint_stand_for_the_key() {
    let line = "RWQBAgMEBQYHCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let key = TrustedKey::from_base64(line).unwrap();
    assert_eq!(key.words().split(' ').count(), 12);
    assert_eq!(key.fingerprint().len(), 64);
    let other = secret().public().clone();
    assert_ne!(key.words(), other.words());
    // The words are the first half of the fingerprint.
    let words = bip39::Mnemonic::parse(key.words()).unwrap();
    assert_eq!(hex::encode(words.to_entropy()), key.fingerprint()[..32]);
}

#[test]
fn a_comment_stays_on_its_line() {
    assert!(matches!(
        secret().sign(b"", "a\nb"),
        Err(SignError::Comment)
    ));
}

proptest! {
    #[test]
    fn no_bit_of_a_signature_file_can_change(position: prop::sample::Index, bit in 0..8u8) {
        let key = secret();
        let mut bytes = key.sign(b"index", "name=a").unwrap().into_bytes();
        let at = position.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let accepted = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| Signature::parse(text).ok())
            .is_some_and(|signature| {
                signature.key_id() == key.public().id()
                    && key.public().verify(b"index", &signature).is_ok()
            });
        prop_assert!(!accepted);
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,40}\n[A-Za-z0-9+/=]{98,101}\n\\PC{0,30}\n[A-Za-z0-9+/=]{86,89}\n?") {
        let _ = Signature::parse(&text);
        let _ = TrustedKey::parse(&text);
        let _ = SecretKey::parse(&text, None);
    }
}

#[test]
fn a_signature_file_on_its_own_is_read_as_minisign_reads_it() {
    let new = generate(None).unwrap();
    let key = SecretKey::parse(new.secret.expose_secret(), None).unwrap();
    let text = key.sign(b"index", "made by hand").unwrap();
    for other in [
        text.clone(),
        text.replace('\n', "\r\n"),
        text.replace(UNTRUSTED_COMMENT, "signed by the site team"),
        text.trim_end().to_owned(),
        format!("{text}\nanything"),
    ] {
        let read = Signature::parse_tolerant(&other).unwrap();
        assert_eq!(read.trusted_comment(), "made by hand");
        key.public().verify(b"index", &read).unwrap();
        key.public().verify(b"other", &read).unwrap_err();
        assert_eq!(Signature::parse(&other).is_ok(), other == text);
    }
    let lie = text.replace("made by hand", "made by me");
    let read = Signature::parse_tolerant(&lie).unwrap();
    key.public().verify(b"index", &read).unwrap_err();
    for wrong in [
        String::new(),
        text.replace("untrusted comment", "comment"),
        text.replace("\ntrusted comment", "\ncomment"),
        text.replace('\n', "\r"),
        format!("\u{feff}{text}"),
        text.lines().take(3).collect::<Vec<_>>().join("\n"),
    ] {
        Signature::parse_tolerant(&wrong).unwrap_err();
    }
}
