//! One HTTP/1.1 request over a connection that is there already.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection broke, or what came is no HTTP.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The answer is longer than it may be.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// Bytes that are read at most.
        limit: usize,
    },
}

/// Status and body of the answer, of at most `limit` bytes.
///
/// # Errors
///
/// See [`ExchangeError`].
pub async fn exchange<S, B>(
    stream: S,
    request: hyper::Request<B>,
    limit: usize,
) -> Result<(u16, Bytes), ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The set ends the connection's task when this future is dropped.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), limit).collect().await;
    match body {
        Ok(body) => Ok((status, body.to_bytes())),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(broken) => ExchangeError::Broken(*broken),
            Err(_) => ExchangeError::TooLarge { limit },
        }),
    }
}
