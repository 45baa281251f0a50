//! One gRPC call over a Unix socket: HTTP/2 from `h2`, messages from `prost`, and what gRPC adds to them
//! (gRPC over HTTP/2, <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::Builder;

/// The longest that a call may take. Starting or ending a pod takes about half a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Length of what stands before a message: one byte "compressed", four bytes length in network order.
const PREFIX: usize = 5;

/// Calls `method` (`package.Service/Method`) and waits for its reply.
///
/// # Errors
/// When the server cannot be reached, or with the status it answers.
pub(crate) fn call<Q: Message, A: Message + Default>(
    socket: &Path,
    method: &str,
    request: &Q,
) -> io::Result<A> {
    let tried = |e: Box<dyn Error>| io::Error::other(format!("call {method}: {e}"));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(async {
        let exchange = exchange(socket, method, framed(request));
        tokio::time::timeout(PATIENCE, exchange).await
    });
    let reply = reply.map_err(|e| tried(e.into()))?.map_err(tried)?;
    let message = reply.get(PREFIX..).unwrap_or_default();
    A::decode(message).map_err(|e| tried(e.into()))
}

fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &bytes].concat()
}

async fn exchange(socket: &Path, method: &str, body: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|e| format!("connect to {}: {e}", socket.display()))?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    // Its failure is also that of the request, which reports it.
    tokio::spawn(async { connection.await.ok() });
    let request = Request::post(format!("http://localhost/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut sending) = sender.ready().await?.send_request(request, false)?;
    sending.send_data(body.into(), true)?;
    let (head, mut receiving) = response.await?.into_parts();
    let mut reply = Vec::new();
    while let Some(chunk) = receiving.data().await {
        let chunk = chunk?;
        receiving.flow_control().release_capacity(chunk.len())?;
        reply.extend_from_slice(&chunk);
    }
    // A reply without a message may carry its status in the head.
    let trailers = receiving.trailers().await?.unwrap_or(head.headers);
    check(&trailers).map(|()| reply)
}

fn check(trailers: &HeaderMap) -> Result<(), Box<dyn Error>> {
    let text = |name: &str| {
        let value = trailers.get(name).map(|value| value.as_bytes());
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    match text("grpc-status").as_str() {
        "0" => Ok(()),
        status => Err(format!("status {status}: {}", text("grpc-message")).into()),
    }
}
