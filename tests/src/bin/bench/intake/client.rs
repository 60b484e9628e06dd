//! The client: one connection a host, kept open, one request at a time, no more work than needed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use shared::durable;
use shared::wire::{FRAMES_TYPE, SUBMIT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::hosts::Host;

/// Of so many answers one is kept, to be checked afterwards.
const KEPT: usize = 61;

/// The number of the request and the body of the answer.
pub(super) type Answer = (usize, Vec<u8>);

/// A connection that is open.
type Ready = TlsStream<TcpStream>;

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
        .map(|(host, connection)| tokio::spawn(send(connection, host.requests.clone())))
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
    Ok(TlsConnector::from(config).connect(name, socket).await?)
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

/// A whole request with this body.
pub(super) fn request(seen: u64, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {SUBMIT}?seen={seen} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {FRAMES_TYPE}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends the requests of one host in order; each must be answered with a receipt.
async fn send(mut connection: Ready, requests: Vec<Arc<Vec<u8>>>) -> anyhow::Result<Vec<Answer>> {
    let last = requests.len().saturating_sub(1);
    let (mut kept, mut answer) = (Vec::new(), Vec::new());
    for (number, request) in requests.iter().enumerate() {
        connection.write_all(request).await?;
        connection.flush().await?;
        answer.clear();
        let json = loop {
            let read = connection.read_buf(&mut answer).await?;
            anyhow::ensure!(0 < read, "the collector hung up");
            if let Some(json) = body(&answer)? {
                break json;
            }
        };
        let taken = json.ends_with(b"\"refused\":null}");
        anyhow::ensure!(taken, "refused: {}", String::from_utf8_lossy(json));
        if number % KEPT == 0 || number == last {
            kept.push((number, json.to_vec()));
        }
    }
    Ok(kept)
}

/// The body of an answer with status 200; `None` while more is to come.
fn body(answer: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head)?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "not taken: {head}");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("no length")?.parse()?;
    Ok((length <= body.len()).then_some(body))
}
