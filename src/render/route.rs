//! Where a gateway leads while it is turned from one web to another.

/// Where a gateway leads. By default to its own release's web.
#[derive(Debug, Clone, Copy, Default)]
pub struct Route<'a> {
    /// Host name of the web behind the inner port, where that is another.
    pub inner: Option<&'a str>,
    /// Everybody else gets 503, and is told when it is expected to be over.
    pub closed_until: Option<&'a str>,
}
