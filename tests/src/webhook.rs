//! A receiver of webhooks and of the dead-man signal, which can be out of order.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A notice: its type, incident and number.
pub type Word = (String, String, u64);

/// What it was told.
#[derive(Debug, Default)]
pub struct Told {
    /// It answers 503, and does not remember.
    pub down: AtomicBool,
    /// Requests that it answered so.
    pub refused: AtomicU64,
    /// Signals that the collector is alive.
    pub alive: AtomicU64,
    notices: Mutex<Vec<(Word, Value)>>,
}

impl Told {
    /// The notices so far.
    pub fn words(&self) -> Vec<Word> {
        let notices = self.notices.lock().unwrap();
        notices.iter().map(|(word, _body)| word.clone()).collect()
    }

    /// The body of the newest notice.
    pub fn newest(&self) -> Value {
        self.notices.lock().unwrap().last().unwrap().1.clone()
    }

    /// What was told of the incidents that this condition was part of.
    pub fn about(&self, key: &str) -> Vec<Word> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |body: &Value| {
            let conditions = body.pointer("/data/conditions").and_then(Value::as_array);
            let mut keys = conditions.into_iter().flatten();
            keys.any(|one| one.get("key").is_some_and(|found| found == key))
        };
        let with = notices.iter().filter(|(_word, body)| has(body));
        let incidents: BTreeSet<&str> = with.map(|(word, _body)| word.1.as_str()).collect();
        let of = notices
            .iter()
            .filter(|(word, _body)| incidents.contains(word.1.as_str()));
        of.map(|(word, _body)| word.clone()).collect()
    }

    /// Whether nothing was told twice.
    pub fn once(&self) -> bool {
        let words = self.words();
        words.iter().collect::<BTreeSet<_>>().len() == words.len()
    }
}

/// Begins to receive.
pub fn receive() -> (SocketAddr, Arc<Told>) {
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
