//! Asking the host's resolvers.

use crate::dns;
use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long one resolver is waited for, each of [`ROUNDS`] times, before the next is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often all resolvers are asked: a datagram may be lost.
const ROUNDS: usize = 2;
/// The longest message over UDP.
const LONGEST: usize = 65535;

/// The first useful answer of the resolvers to a request, under the request's own id; where all refuse, a refusal. It
/// goes over the transport that the asker used: an answer too long for UDP comes back marked as such, and the asker
/// returns over TCP.
pub(crate) async fn forward(request: &[u8], resolvers: &[SocketAddr], udp: bool) -> Option<Vec<u8>> {
    let mut refusal = None;
    for resolver in (0..ROUNDS).flat_map(|_| resolvers) {
        let asked = async {
            match udp {
                true => ask_udp(request, *resolver).await,
                false => ask_tcp(request, *resolver).await,
            }
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) if dns::is_useful(&answer) => return Some(answer),
            Ok(Ok(answer)) => refusal = Some(answer),
            // No answer, or not reached: the next one may do better.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    refusal
}

async fn ask_udp(request: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    // A socket for each question: its port is random, and only the resolver's datagrams reach it.
    let any: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    let (question, id) = with_random_id(request)?;
    socket.send(&question).await?;
    let mut answer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut answer).await?;
        // What does not belong to the question may be somebody's guess; the true answer is still to come.
        if dns::answers(&answer[..length], request, id) {
            answer.truncate(length);
            return with_id(answer, request);
        }
    }
}

async fn ask_tcp(request: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let (question, id) = with_random_id(request)?;
    write_message(&mut stream, &question).await?;
    let answer = read_message(&mut stream).await?;
    match dns::answers(&answer, request, id) {
        true => with_id(answer, request),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

/// Reads a message with its length before it (RFC 1035, section 4.2.2).
pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message with its length before it.
pub(crate) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

fn with_random_id(request: &[u8]) -> io::Result<(Vec<u8>, u16)> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok((with_id(request.to_vec(), &id)?, u16::from_be_bytes(id)))
}

/// The message with the id of another.
fn with_id(mut message: Vec<u8>, other: &[u8]) -> io::Result<Vec<u8>> {
    match (message.get_mut(..2), other.get(..2)) {
        (Some(id), Some(other)) => id.copy_from_slice(other),
        _ => return Err(ErrorKind::InvalidData.into()),
    }
    Ok(message)
}
