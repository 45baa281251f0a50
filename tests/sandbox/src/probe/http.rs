//! A page and its fetch, for the demo.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::service::{Service, anywhere};
use super::{canonical, tcp};
use crate::namespace::Namespace;

/// A web server with one page, which names the server and the visitor's address.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    _service: Service,
}

impl Server {
    /// Starts a server on every address of the namespace.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16, name: &str) -> io::Result<Self> {
        let name = name.to_owned();
        tcp::serve(namespace, anywhere(port), move |stream, peer, _| {
            // A visitor that goes away ends the connection, and that is all.
            let _ = serve_page(
                stream,
                &format!("Hello from {name}, you are {}\n", canonical(peer).ip()),
            );
        })
        .map(|(address, service)| Self {
            address,
            _service: service,
        })
    }
}

fn serve_page(mut stream: TcpStream, page: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 16 * 1024 {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let length = page.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{page}").as_bytes())
}

/// Fetches the page at `to` from `client` and returns its text.
///
/// # Errors
/// When nobody answers in time, or not with a page.
pub fn fetch(client: &Namespace, to: SocketAddr, timeout: Duration) -> io::Result<String> {
    let tried = |e: io::Error| io::Error::new(e.kind(), format!("fetch http://{to}/: {e}"));
    let text = client.run(|| get(to, timeout)).map_err(tried)?;
    let page = text
        .strip_prefix("HTTP/1.1 200 OK\r\n")
        .and_then(|rest| rest.split_once("\r\n\r\n"));
    page.map(|(_, page)| page.to_owned())
        .ok_or_else(|| tried(io::Error::other(format!("answer {text:?}"))))
}

fn get(to: SocketAddr, timeout: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(
        format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
