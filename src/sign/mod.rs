//! Minisign keys, signatures and the trust store.
