//! Writes the first inputs of every target below the directory that is named.

use std::path::Path;

use lfctl::oci::digest::Digest;
use secrecy::ExposeSecret;

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).expect("usage: seeds DIR");
    let dir = Path::new(&dir);
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs_err::create_dir_all(dir.join(target))?;
        fs_err::write(dir.join(target).join(name), bytes)
    };
    let good = lfctl_fuzz::good();
    put("archive_head", "good", &good)?;
    put("archive_head", "cut", &good[..good.len() / 2])?;
    put("archive_head", "trailing", &[&good[..], b"more"].concat())?;
    let parts = lfctl_fuzz::parts();
    put("index", "good", &parts[1].1)?;
    put("minisign", "signature", &parts[2].1)?;
    put("bundle_manifest", "good", &parts[5].1)?;
    put("bundle_manifest", "unpadded", parts[5].1.trim_ascii_end())?;
    for password in [None, Some("password".into())] {
        let name = if password.is_some() {
            "protected"
        } else {
            "plain"
        };
        let new = lfctl::sign::generate(password.as_ref()).expect("a key");
        put("minisign", name, new.secret.expose_secret().as_bytes())?;
        put(
            "minisign",
            &format!("{name}.pub"),
            new.public.to_text().as_bytes(),
        )?;
        put(
            "minisign",
            &format!("{name}.base64"),
            new.public.to_base64().as_bytes(),
        )?;
    }
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundles");
    for entry in fs_err::read_dir(bundles)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            put("spec", &name, &fs_err::read(&path)?)?;
        }
    }
    let digest = Digest::of(b"x");
    let lock = format!(
        "schema = 1\nplatform = \"linux/amd64\"\n[images]\n\"docker.io/a/b:1.0\" = \"{digest}\"\n[layers]\n\"{digest}\" = 7\n"
    );
    put("lock", "good", lock.as_bytes())?;
    let list = serde_json::json!({
        "format": 1, "name": "a.tar", "index": digest, "size": 1000, "part-size": 600, "parts": [digest, digest],
    });
    put("part_list", "good", list.to_string().as_bytes())?;
    put("layer", "good", &layer()?)
}

fn layer() -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        (
            "var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
        ),
        ("lib/apk/db/installed", "P:musl\nV:1.2\nL:MIT\n"),
        ("usr/share/doc/a/copyright", "Format: x\nLicense: GPL-2+\n"),
        ("var/.wh.x", ""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.append_pax_extensions([("path", b"usr/share/doc/b".as_slice())])?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "x", "a")?;
    tar.into_inner()
}
