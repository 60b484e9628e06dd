//! An HTTPS receiver that judges what it gets, or that misbehaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::site::Site;

/// What somebody sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// How the receiver behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// It judges.
    Judge,
    /// It answers with this status, this Retry-After, or an address elsewhere.
    Answer(u16, &'static str),
    /// It never answers.
    Silent,
    /// Its answer with this status never ends.
    Endless(u16),
}

/// The judgement: a status and the text with it.
type Rule = fn(&Request) -> (u16, String);

/// A receiver on loopback.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<State>,
    _runtime: tokio::runtime::Runtime,
}

struct State {
    rule: Rule,
    mode: Mutex<Mode>,
    seen: Mutex<Vec<Request>>,
}

impl Receiver {
    pub(crate) fn start(site: &Site, rule: Rule) -> Self {
        let certificate = CertificateDer::from_pem_file(site.path("ca-server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(site.path("ca-server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            rule,
            mode: Mutex::new(Mode::Judge),
            seen: Mutex::new(Vec::new()),
        });
        let _task = runtime.spawn(accept(listener, acceptor, Arc::clone(&state)));
        Self {
            port,
            state,
            _runtime: runtime,
        }
    }

    pub(crate) fn behave(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// What was sent since this was asked the last time.
    pub(crate) fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }

    /// The one request since this was asked the last time.
    #[track_caller]
    pub(crate) fn one(&self) -> Request {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((socket, _from)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        let _task = tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(socket).await else {
                return;
            };
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(tls), service).await);
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Endless>>, Infallible> {
    let (head, body) = request.into_parts();
    let request = Request {
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    };
    state.seen.lock().unwrap().push(request.clone());
    let mode = *state.mode.lock().unwrap();
    let answer = Response::builder();
    let (answer, body) = match mode {
        Mode::Judge => {
            let (status, text) = (state.rule)(&request);
            (answer.status(status), Either::Left(text.into()))
        }
        Mode::Answer(status, about) => {
            let status = StatusCode::from_u16(status).unwrap();
            let name = if status.is_redirection() {
                "location"
            } else {
                "retry-after"
            };
            let answer = answer.status(status).header(name, about);
            (answer, Either::Left("not now".into()))
        }
        Mode::Silent => std::future::pending().await,
        Mode::Endless(status) => (answer.status(status), Either::Right(Endless)),
    };
    Ok(answer.body(body).unwrap())
}

/// A body without an end.
pub(crate) struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static MUCH: [u8; 65_536] = [b'x'; 65_536];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&MUCH)))))
    }
}
