//! The way to the collector that runs: HTTP over the operator's socket, JSON in and out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collector::register::Record;
use collector::serve::api::catalogue::Order;
use collector::serve::api::problem::{MEDIA_TYPE, Members, Problem};
use collector::serve::api::{Brought, Done, HOLDS};
use collector::serve::operator::SOCKET;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::decision::Decided;
use tokio::net::UnixStream;

use super::person::Pen;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// The collector in a folder.
pub(crate) struct Client {
    dir: PathBuf,
}

/// What the collector answered.
pub(crate) struct Answer {
    /// The body.
    pub(crate) body: Vec<u8>,
    /// All that is shown holds.
    pub(crate) holds: bool,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// The collector in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Whether a collector runs there.
    pub(crate) fn is_there(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.dir.join(SOCKET)).is_ok()
    }

    /// Asks; `None` when no collector runs.
    pub(crate) fn ask(&self, path: &str) -> anyhow::Result<Option<Answer>> {
        self.request(Method::GET, path, Vec::new())
    }

    /// Asks for something in JSON; that no collector runs is an error.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.ask(path)?.ok_or_else(|| self.nobody())?;
        self.read(&answer)
    }

    /// A record as it is now, if there is one.
    pub(crate) fn record(&self, register: &str, id: &str) -> anyhow::Result<Option<Record>> {
        let Records { records } = self.get(&format!("/v1/registers/{register}"))?;
        Ok(records.into_iter().find(|record| record.id == id))
    }

    /// Lets the collector enter a decision, with the signature of a person if there is a pen, else
    /// for the account of the machine that orders it.
    pub(crate) fn decide(
        &self,
        pen: Option<&Pen>,
        decides: Decided,
        documents: &[(String, Vec<u8>)],
    ) -> anyhow::Result<Done> {
        let Some(pen) = pen else {
            let Decided::Catalogue(decides) = decides else {
                return self.post("/v1/orders", &decides);
            };
            let files = documents.iter();
            let files = files.map(|(_name, bytes)| STANDARD.encode(bytes)).collect();
            return self.post("/v1/orders/catalogue", &Order { decides, files });
        };
        let brought: Brought = pen.sign(decides, documents)?;
        self.post("/v1/decisions", &brought)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body)?;
        let answer = self.request(Method::POST, path, body)?;
        self.read(&answer.ok_or_else(|| self.nobody())?)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> anyhow::Result<T> {
        serde_json::from_slice(&answer.body).with_context(|| {
            let dir = self.dir.display();
            format!("the collector in `{dir}` is of another version: start it anew")
        })
    }

    fn nobody(&self) -> anyhow::Error {
        let dir = self.dir.display();
        anyhow!("no collector runs in `{dir}`: start it with `serve`")
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Option<Answer>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answered = runtime.block_on(async {
            let socket = self.dir.join(SOCKET);
            let exchange = exchange(&socket, method, path, body);
            tokio::time::timeout(PATIENCE, exchange).await
        });
        let silent = || format!("the collector in `{}` does not answer", self.dir.display());
        answered.with_context(silent)?
    }
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<Option<Answer>> {
    let socket = match UnixStream::connect(socket).await {
        Ok(socket) => socket,
        // The socket of a collector that was killed is still there, and nobody answers.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).context("the operator's socket cannot be used"),
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "evident-collector")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow!("the answer was cut: {error}"))?
        .to_bytes()
        .to_vec();
    connection.abort();
    let is_problem = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == MEDIA_TYPE);
    if is_problem || !head.status.is_success() {
        bail!("{}", complaint(&body));
    }
    let holds = head.headers.get(HOLDS).is_none_or(|holds| holds == "true");
    Ok(Some(Answer { body, holds }))
}

/// A problem for people: what is wrong with what, and what can be done.
fn complaint(body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return "the collector refused, and did not say why".to_owned();
    };
    let Members {
        title,
        detail,
        operand,
        hint,
        ..
    } = *problem.0;
    let operand = if operand.is_empty() {
        operand
    } else {
        format!("{operand}: ")
    };
    let hint = if hint.is_empty() {
        hint
    } else {
        format!("\nhint: {hint}")
    };
    format!("{title}\n{operand}{detail}{hint}")
}
