//! The least of HTTP: one page of one server, addressed by number.

use std::io::{Error, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long to wait for a connection, and for the page.
const PATIENCE: Duration = Duration::from_secs(2);

/// The body behind `http://ADDRESS[:PORT]/PATH`.
///
/// # Errors
/// Where the server does not answer in time, or not with 200.
pub fn get(url: &str) -> std::io::Result<String> {
    let (server, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
    let address: SocketAddr = server
        .parse()
        .or_else(|_| format!("{server}:80").parse())
        .unwrap_or_else(|_| panic!("{url} names no server by number"));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // The head of what a CGI script prints ends without a carriage return.
    match answer.split_once("\r\n\r\n").or_else(|| answer.split_once("\n\n")) {
        Some((head, body)) if head.lines().next().is_some_and(|line| line.contains(" 200 ")) => {
            Ok(body.to_owned())
        }
        _ => Err(Error::other(format!("the server answers {answer:?}"))),
    }
}
