//! The client: one connection a host, kept open, one request at a time, no more work than needed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use shared::durable;
use shared::wire::{FRAMES_TYPE, SUBMIT};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::hosts::Host;

/// Of so many answers one is kept, to be checked afterwards.
const KEPT: usize = 61;

/// The number of the request and the body of the answer.
pub(super) type Answer = (usize, Bytes);

/// A connection that is open.
type Ready = SendRequest<Full<Bytes>>;

/// Opens a connection for each host, one after the other.
pub(super) async fn connect_all(url: &str, hosts: &[Host]) -> anyhow::Result<Vec<Ready>> {
    let mut ready = Vec::new();
    for host in hosts {
        ready.push(connect(url, host).await?);
    }
    Ok(ready)
}

/// Sends everything; gives a sample of the answers by host.
pub(super) async fn send_all(
    ready: Vec<Ready>,
    hosts: &[Host],
) -> anyhow::Result<Vec<Vec<Answer>>> {
    let sending: Vec<_> = hosts
        .iter()
        .zip(ready)
        .map(|(host, connection)| {
            let path = format!("{SUBMIT}?seen={}", host.seen.size);
            tokio::spawn(send(connection, path, host.bodies.clone()))
        })
        .collect();
    let mut answers = Vec::new();
    for sent in sending {
        answers.push(sent.await??);
    }
    Ok(answers)
}

async fn connect(url: &str, host: &Host) -> anyhow::Result<Ready> {
    let address = url.strip_prefix("https://").context("not an address")?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let config = Arc::new(credentials(host.identity.folder())?);
    let name = ServerName::try_from("localhost")?;
    let tls = TlsConnector::from(config).connect(name, socket).await?;
    let (sender, connection) = handshake(TokioIo::new(tls)).await?;
    // It ends when the sender is dropped; what goes wrong before is said to the sender.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// The files that enrolment has left.
fn credentials(folder: &Path) -> anyhow::Result<ClientConfig> {
    let read = |name: &str| durable::read(&folder.join(name), 64 * 1024);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("authority.pem")?)?)?;
    let certificate = CertificateDer::from_pem_slice(&read("certificate.pem")?)?;
    let key = PrivateKeyDer::from_pem_slice(&read("tls.key.pem")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?)
}

/// Sends the requests of one host in order; each must be answered with a receipt.
async fn send(
    mut connection: Ready,
    path: String,
    bodies: Vec<Bytes>,
) -> anyhow::Result<Vec<Answer>> {
    let last = bodies.len().saturating_sub(1);
    let mut kept = Vec::new();
    for (number, body) in bodies.into_iter().enumerate() {
        let request = Request::post(&path)
            .header("host", "localhost")
            .header("content-type", FRAMES_TYPE)
            .body(Full::new(body))?;
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        let json = answer.into_body().collect().await?.to_bytes();
        let taken = status.is_success() && json.ends_with(b"\"refused\":null}");
        anyhow::ensure!(taken, "{status}: {}", String::from_utf8_lossy(&json));
        if number % KEPT == 0 || number == last {
            kept.push((number, json));
        }
    }
    Ok(kept)
}
