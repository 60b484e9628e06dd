//! The connection to a receiver that speaks in lines: bounded, and read line by line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::DeliveryError;
use super::again;
use crate::config::Server;

/// Most bytes that a receiver may send during one delivery, certificates included.
const BYTES_MAX: usize = 256 * 1024;
/// Longest piece that is looked at for the end of a line.
const PIECE_BYTES_MAX: usize = 512;

/// A connection with a bound on what comes.
///
/// A read never goes beyond the end of a line. So nothing that somebody put behind the answer to
/// STARTTLS, before the encryption, can be taken for an answer after it: it stays in the socket and
/// spoils the handshake (CVE-2011-0411 and others like it).
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    left: usize,
}

/// A connection, or TLS in it.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// Connects to a server.
pub(super) async fn connect(server: &Server) -> Result<Wire, DeliveryError> {
    let connected = TcpStream::connect((server.host.as_str(), server.port)).await;
    let socket = connected.map_err(|error| again(format!("cannot reach {server}: {error}")))?;
    Ok(Wire {
        socket,
        left: BYTES_MAX,
    })
}

impl Wire {
    /// Begins TLS with a server that can prove who it is.
    pub(super) async fn encrypt(
        self,
        server: &Server,
        tls: ClientConfig,
    ) -> Result<TlsStream<Self>, DeliveryError> {
        let failed = |what: &dyn std::fmt::Display| again(format!("TLS with {server}: {what}"));
        let name = ServerName::try_from(server.host.clone()).map_err(|error| failed(&error))?;
        let connector = TlsConnector::from(Arc::new(tls));
        let begun = connector.connect(name, self).await;
        begun.map_err(|error| failed(&error))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.left == 0 {
            let what = format!("the receiver sent more than {BYTES_MAX} bytes");
            return Poll::Ready(Err(io::Error::other(what)));
        }
        let most = to.remaining().min(wire.left).min(PIECE_BYTES_MAX);
        let mut piece = [0; PIECE_BYTES_MAX];
        let mut piece = ReadBuf::new(piece.get_mut(..most).unwrap_or_default());
        let seen = ready!(wire.socket.poll_peek(context, &mut piece))?;
        let line = piece.filled().iter().position(|byte| *byte == b'\n');
        let length = line.map_or(seen, |end| end.saturating_add(1));
        // What has been seen is there, so this does not wait; at the end of the stream it is empty.
        let mut line = [0; PIECE_BYTES_MAX];
        let mut line = ReadBuf::new(line.get_mut(..length).unwrap_or_default());
        ready!(Pin::new(&mut wire.socket).poll_read(context, &mut line))?;
        to.put_slice(line.filled());
        wire.left = wire.left.saturating_sub(line.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(context, to),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, to),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(wire) => wire.socket.peer_addr(),
            Self::Tls(tls) => tls.get_ref().0.socket.peer_addr(),
        }
    }
}
