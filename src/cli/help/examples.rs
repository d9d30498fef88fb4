//! Examples that end the help of commands with many options.

/// Examples by command. Commands with more than two options of their own have
/// some.
pub(super) const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "install",
        &[
            "lfctl install --offline langfuse.tar",
            "lfctl install --offline langfuse.tar --site site.toml --yes",
            "lfctl install --offline langfuse.tar --site site.toml --dry-run",
        ],
    ),
    (
        "upgrade",
        &[
            "lfctl upgrade --offline langfuse.tar --stage",
            "lfctl upgrade --offline langfuse.tar",
        ],
    ),
    (
        "plan",
        &[
            "lfctl plan langfuse-4.16.0.tar langfuse-4.20.0.tar",
            "lfctl plan --to 4.16.0 langfuse-4.16.0.tar langfuse-4.20.0.tar",
            "lfctl plan --history history.json langfuse-4.20.0.tar",
        ],
    ),
    (
        "start",
        &["lfctl start", "lfctl start worker", "lfctl start --dry-run"],
    ),
    (
        "stop",
        &["lfctl stop", "lfctl stop worker", "lfctl stop --dry-run"],
    ),
    ("restart", &["lfctl restart web", "lfctl restart --dry-run"]),
    (
        "apply",
        &[
            "lfctl apply --dry-run",
            "lfctl apply",
            "lfctl apply --site site.toml",
        ],
    ),
    (
        "uninstall",
        &["lfctl uninstall", "lfctl uninstall --purge --dry-run"],
    ),
    (
        "doctor",
        &[
            "lfctl doctor",
            "lfctl doctor --only egress --all",
            "lfctl doctor --fail-on warning --json",
            "lfctl doctor --egress-lab",
        ],
    ),
    (
        "logs",
        &[
            "lfctl logs web worker --follow",
            "lfctl logs --since 30m --timestamps",
        ],
    ),
    (
        "verify",
        &[
            "lfctl verify langfuse.tar --receipt receipt.json",
            "lfctl verify --running langfuse.tar",
        ],
    ),
    (
        "backup create",
        &[
            "lfctl backup create --to /mnt/backup",
            "lfctl backup create --to /mnt/backup --dry-run",
        ],
    ),
    (
        "backup list",
        &["lfctl backup list", "lfctl backup list --from /mnt/backup"],
    ),
    ("backup drill", &["lfctl backup drill --snapshot latest"]),
    (
        "backup prune",
        &["lfctl backup prune --keep-daily 7 --keep-weekly 4 --dry-run"],
    ),
    ("backup verify", &["lfctl backup verify --from /mnt/backup"]),
    (
        "restore",
        &[
            "lfctl restore langfuse.tar --from /mnt/backup --password-file words.txt",
            "lfctl restore langfuse.tar --from /mnt/backup --dry-run",
        ],
    ),
    (
        "support-bundle",
        &[
            "lfctl support-bundle --output support.tar.gz",
            "lfctl support-bundle --output support.tar.gz --dry-run",
        ],
    ),
    (
        "systemd print",
        &[
            "lfctl systemd print",
            "lfctl systemd print --to /etc/systemd/system",
            "lfctl systemd print --to /etc/systemd/system --backup-to /mnt/backup",
        ],
    ),
    (
        "bundle create",
        &[
            "lfctl bundle create bundles/langfuse-4.toml --key release.key -o langfuse.tar",
            "lfctl bundle create bundles/langfuse-4.toml --key release.key -o langfuse.tar --split 4G",
        ],
    ),
    (
        "bundle verify",
        &["lfctl bundle verify langfuse.tar --trusted-key release.pub --receipt receipt.json"],
    ),
    (
        "bundle split",
        &["lfctl bundle split langfuse.tar --size 650M -o discs --key release.key"],
    ),
    (
        "bundle load",
        &[
            "lfctl bundle load langfuse.tar",
            "lfctl bundle load langfuse.tar --dry-run",
        ],
    ),
    (
        "bundle sbom",
        &["lfctl bundle sbom langfuse.tar --trusted-key release.pub"],
    ),
    (
        "bundle sign",
        &["lfctl bundle sign langfuse.tar --key security.key --trusted-key release.pub"],
    ),
    (
        "trust statement",
        &[
            "lfctl trust statement --introduce new.pub --revoke 0123456789ABCDEF --key release.key -o keys",
        ],
    ),
    ("key generate", &["lfctl key generate -o release"]),
    (
        "trust add",
        &["lfctl trust add release.pub --words \"the twelve words that lfctl key show prints\""],
    ),
];
