//! People who decide at a collector, and what they say to it.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::{Deployment, ends, program};

/// Runs a command of the collector, also one below a command.
pub fn order(deployment: &Deployment, words: &[&str]) -> Output {
    program("evident-collector")
        .args(words)
        .arg("--dir")
        .arg(deployment.folder())
        .output()
        .unwrap()
}

/// Runs a command that a person signs.
pub fn sign(deployment: &Deployment, key: &Path, words: &[&str]) -> Output {
    let signed = ["--as", key.to_str().unwrap()];
    order(deployment, &[words, &signed].concat())
}

/// A person who may decide from now on: the file with the key.
#[track_caller]
pub fn person(deployment: &Deployment, id: &str) -> PathBuf {
    let key = deployment.scratch().join(format!("{id}.key"));
    let made = program("evident-collector")
        .args(["person", "key", "--out"])
        .arg(&key)
        .output()
        .unwrap();
    let public = deployment.scratch().join(format!("{id}.pub"));
    std::fs::write(&public, ends(&made, 0)).unwrap();
    let name = format!("{id} Example");
    let public = public.to_str().unwrap();
    let add = ["person", "add", id, "--name", &name, "--key", public];
    drop(ends(&order(deployment, &add), 0));
    key
}

/// Asks over the operator's socket: the status, and the answer in JSON.
#[track_caller]
pub fn get(deployment: &Deployment, path: &str) -> (u16, serde_json::Value) {
    use std::io::{Read as _, Write as _};

    let socket = deployment.folder().join("operator.sock");
    let mut socket = std::os::unix::net::UnixStream::connect(socket).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nhost: collector\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    let _bytes = socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// An instant so many milliseconds from now.
#[must_use]
pub fn now_and(ms: i64) -> String {
    shared::time::Timestamp::from_system(std::time::SystemTime::now())
        .plus_ms(ms)
        .to_string()
}
