//! A receiver of webhooks and of the dead-man signal, which can be out of order.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A notice: its type, incident and number.
pub(crate) type Word = (String, String, u64);

/// What it was told.
#[derive(Default)]
pub(crate) struct Told {
    /// It answers 503, and does not remember.
    pub(crate) down: AtomicBool,
    /// Requests that it answered so.
    pub(crate) refused: AtomicU64,
    /// Signals that the collector is alive.
    pub(crate) alive: AtomicU64,
    notices: Mutex<Vec<(Word, Value)>>,
}

impl Told {
    /// The notices so far.
    pub(crate) fn words(&self) -> Vec<Word> {
        let notices = self.notices.lock().unwrap();
        notices.iter().map(|(word, _body)| word.clone()).collect()
    }

    /// The body of the newest notice.
    pub(crate) fn newest(&self) -> Value {
        self.notices.lock().unwrap().last().unwrap().1.clone()
    }

    /// Whether nothing was told twice.
    pub(crate) fn once(&self) -> bool {
        let words = self.words();
        words.iter().collect::<BTreeSet<_>>().len() == words.len()
    }
}

/// Begins to receive.
pub(crate) fn receive() -> (SocketAddr, Arc<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let told = Arc::new(Told::default());
    let hears = Arc::clone(&told);
    drop(std::thread::spawn(move || {
        for socket in listener.incoming() {
            // A collector that is killed leaves half a request behind.
            let _half = socket.ok().and_then(|socket| take(&socket, &hears));
        }
    }));
    (address, told)
}

/// Takes one request.
fn take(socket: &TcpStream, told: &Told) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut first = String::new();
    let _bytes = reader.read_line(&mut first).ok()?;
    let (mut length, mut signed) = (0_usize, false);
    loop {
        let mut line = String::new();
        let _bytes = reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "webhook-signature" => signed = value.starts_with("v1,"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut status = "204 No Content";
    if first.starts_with("GET /alive ") {
        let _before = told.alive.fetch_add(1, Ordering::Relaxed);
    } else if told.down.load(Ordering::Relaxed) {
        let _before = told.refused.fetch_add(1, Ordering::Relaxed);
        status = "503 Service Unavailable";
    } else {
        assert!(first.starts_with("POST /hook ") && signed, "{first}");
        let body: Value = serde_json::from_slice(&body).ok()?;
        let text = |at: &str| Some(body.pointer(at)?.as_str()?.to_owned());
        let number = body.pointer("/data/number")?.as_u64()?;
        let word = (text("/type")?, text("/data/incident")?, number);
        let mut notices = told.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.push((word, body));
    }
    let mut socket = socket;
    write!(
        socket,
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .ok()
}
