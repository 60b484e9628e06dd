//! A real mail server, exim; what it holds is read by another program. And servers that misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use collector::alert::{DeliveryError, Occasion};
use serde_json::Value;

use super::site::{Daemon, Site, free_port, notice};

const PASSWORD: &str = "let me in please";

/// exim that takes mail and keeps it in its queue.
struct Exim {
    _daemon: Daemon,
    start_tls: u16,
    implicit: u16,
}

impl Exim {
    fn start(site: &Site) -> Self {
        let (start_tls, implicit, folder) = (free_port(), free_port(), site.folder().display());
        let settings = format!(
            "spool_directory = {folder}/spool
log_file_path = {folder}/spool/log-%s
pid_file_path = {folder}/exim.pid
keep_environment =
primary_hostname = mail.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {start_tls} : {implicit}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
tls_certificate = {folder}/ca-server.pem
tls_privatekey = {folder}/ca-server.key
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
queue_only = true
host_lookup =
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny !authenticated = *
       message = log in first
  deny local_parts = gone
       message = there is nobody of that name
  defer local_parts = later
       message = come back later
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{evident}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"
        );
        site.write("exim.conf", &settings, 0o644);
        let spool = site.path("spool");
        std::fs::create_dir(&spool).unwrap();
        let chown = Command::new("chown")
            .arg("Debian-exim")
            .arg(&spool)
            .status();
        assert!(chown.unwrap().success());
        let mut daemon = exim(site);
        daemon.arg("-bdf");
        let log = site.path("exim.log");
        Self {
            _daemon: Daemon::start(&mut daemon, &log, start_tls),
            start_tls,
            implicit,
        }
    }

    /// The mail that it holds, read by Python's parser.
    fn mail(site: &Site) -> Vec<Value> {
        let list = exim(site).arg("-bpr").output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        let ids = list.lines().filter(|line| line.contains('<'));
        let ids = ids.filter_map(|line| line.split_whitespace().nth(2));
        ids.map(|id| read(&exim(site).args(["-Mvc", id]).output().unwrap().stdout))
            .collect()
    }
}

fn exim(site: &Site) -> Command {
    let mut exim = Command::new("exim4");
    exim.arg("-C").arg(site.path("exim.conf"));
    exim
}

/// A message as Python reads it.
fn read(message: &[u8]) -> Value {
    let script = "import email.policy, json, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
print(json.dumps({'headers': [[k, str(v)] for k, v in mail.items()], 'body': mail.get_content(),
                  'defects': [str(one) for one in mail.defects]}))";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(message).unwrap();
    serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let all = mail["headers"].as_array().unwrap().iter();
    let found = all.filter(|one| one[0].as_str().unwrap().eq_ignore_ascii_case(name));
    found.map(|one| one[1].as_str().unwrap()).collect()
}

fn settings(port: u16, tls: &str, to: &str) -> String {
    format!(
        "kind = \"email\"\nserver = \"localhost:{port}\"\ntls = \"{tls}\"\nca_file = \"ca.pem\"
         user = \"evident\"\nsecret_file = \"secret\"\nfrom = \"Evident <evident@example.org>\"
         to = [{to}]"
    )
}

#[test]
fn mail_arrives_over_tls_in_one_thread_and_carries_no_header_of_a_host() {
    let site = Site::new();
    let exim = Exim::start(&site);
    site.write("secret", PASSWORD, 0o600);
    let to = "\"ops@example.org\", \"K\u{f6}nig <on-call@example.org>\"";
    for (number, port, tls) in [
        (1, exim.start_tls, "starttls"),
        (2, exim.implicit, "implicit"),
    ] {
        let channel = site.open(&settings(port, tls, to));
        let expected =
            format!("email to ops@example.org, on-call@example.org via localhost:{port}");
        assert_eq!(channel.describe(), expected);
        let notice = notice(number, Occasion::Raised);
        assert_eq!(site.deliver(&channel, &notice), Ok(()));
    }
    let mut mail = Exim::mail(&site);
    mail.sort_by_key(|one| header(one, "In-Reply-To").len());
    assert_eq!(mail.len(), 2);
    for one in &mail {
        assert!(one["defects"].as_array().unwrap().is_empty(), "{one}");
        assert_eq!(header(one, "From"), ["Evident <evident@example.org>"]);
        let to = header(one, "To");
        assert_eq!(to, ["ops@example.org, K\u{f6}nig <on-call@example.org>"]);
        assert_eq!(header(one, "Auto-Submitted"), ["auto-generated"]);
        assert_eq!(header(one, "Bcc"), [""; 0], "{one}");
        assert_eq!(header(one, "Date").len(), 1);
        assert!(header(one, "Received")[0].contains("tls"), "{one}");
        let subject = header(one, "Subject")[0];
        let begin = "[HIGH] clocks are off x Bcc: eve@example.org <!channel> &amp; \u{fffd}[2J";
        assert!(subject.starts_with(begin), "{subject}");
        let body = one["body"].as_str().unwrap();
        assert!(
            body.contains("\nFacts: source = x Bcc: eve@example.org"),
            "{body}"
        );
        assert!(body.trim_end().ends_with("and 10 more"), "{body}");
        assert!(!body.contains(['\u{1b}', '\u{202e}', '\0']), "{body}");
    }
    let first = header(&mail[0], "Message-ID")[0];
    assert!(first.ends_with("@collector.example>"), "{first}");
    assert_eq!(header(&mail[1], "In-Reply-To"), [first]);
    assert_eq!(header(&mail[1], "References"), [first]);
}

#[test]
fn mail_that_a_server_refuses_is_told_apart_from_mail_that_may_go_later() {
    let site = Site::new();
    let exim = Exim::start(&site);
    site.write("secret", PASSWORD, 0o600);
    let notice = notice(1, Occasion::Raised);
    let open = |to: &str| site.open(&settings(exim.start_tls, "starttls", to));

    let why = site.refused(&open("\"gone@example.org\""), &notice);
    assert!(why.contains("there is nobody of that name"), "{why}");
    let why = site.again(&open("\"ops@example.org\", \"later@example.org\""), &notice);
    assert!(why.contains("come back later"), "{why}");
    assert_eq!(Exim::mail(&site).len(), 0);
    // One who left does not keep it from the others.
    let both = open("\"gone@example.org\", \"ops@example.org\"");
    assert_eq!(site.deliver(&both, &notice), Ok(()));
    assert_eq!(Exim::mail(&site).len(), 1);

    site.write("secret", "wrong", 0o600);
    let why = site.refused(&both, &notice);
    assert!(
        why.starts_with("the login: ") && !why.contains("wrong"),
        "{why}"
    );
    let anonymous = settings(exim.start_tls, "starttls", "\"ops@example.org\"")
        .replace("user = \"evident\"", "")
        .replace("secret_file = \"secret\"", "");
    let why = site.refused(&site.open(&anonymous), &notice);
    assert!(why.contains("log in first"), "{why}");
    for (port, tls) in [(exim.start_tls, "starttls"), (exim.implicit, "implicit")] {
        let stranger = settings(port, tls, "\"ops@example.org\"").replace("ca.pem", "other.pem");
        let why = site.again(&site.open(&stranger), &notice);
        assert!(why.contains("UnknownIssuer"), "{why}");
    }
    assert_eq!(Exim::mail(&site).len(), 1);
}

/// A server for one client, which says what this function says.
fn server(talk: impl FnOnce(&mut TcpStream) + Send + 'static) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (mut socket, _from) = listener.accept().unwrap();
        talk(&mut socket);
        let mut heard = Vec::new();
        drop(socket.read_to_end(&mut heard));
        String::from_utf8_lossy(&heard).into_owned()
    });
    (port, thread)
}

/// Answers a line with some bytes.
fn answer(socket: &TcpStream, with: &str) {
    let mut line = String::new();
    let heard = BufReader::new(socket).read_line(&mut line);
    if 0 < heard.unwrap_or_default() {
        let mut socket = socket;
        drop(socket.write_all(with.as_bytes()));
    }
}

#[test]
fn servers_that_misbehave_get_no_mail_and_no_password() {
    let site = Site::new();
    site.write("secret", PASSWORD, 0o600);
    let notice = notice(1, Occasion::Raised);
    let deliver = |port| {
        let channel = site.open(&settings(port, "starttls", "\"ops@example.org\""));
        let why = site.again(&channel, &notice);
        (why, channel)
    };

    // No TLS on offer.
    let (port, heard) = server(|socket| {
        socket.write_all(b"220 a\r\n").unwrap();
        answer(socket, "250-a\r\n250 AUTH PLAIN\r\n");
    });
    let (why, _channel) = deliver(port);
    assert!(why.contains("STARTTLS is not supported"), "{why}");
    let heard = heard.join().unwrap();
    assert!(
        !heard.contains("AUTH") && !heard.contains("MAIL"),
        "{heard}"
    );

    // An answer put behind that to STARTTLS, by somebody between.
    let (port, heard) = server(|socket| {
        socket.write_all(b"220 a\r\n").unwrap();
        answer(socket, "250-a\r\n250 STARTTLS\r\n");
        answer(socket, "220 go\r\n250 AUTH PLAIN\r\n");
    });
    let (why, _channel) = deliver(port);
    assert!(why.starts_with("STARTTLS: "), "{why}");
    let _heard = heard.join().unwrap();

    // An answer without an end, and none.
    let (port, heard) = server(|socket| while socket.write_all(&[b'2'; 8192]).is_ok() {});
    let (why, _channel) = deliver(port);
    assert!(why.contains("sent more than 262144 bytes"), "{why}");
    let _heard = heard.join().unwrap();
    let (port, heard) = server(|_socket| {});
    let (why, channel) = deliver(port);
    assert_eq!(why, "there was no answer in 2 s");
    let _heard = heard.join().unwrap();

    // Nobody there.
    let gone = site.deliver(&channel, &notice);
    assert!(matches!(&gone, Err(DeliveryError::Again { why, .. }) if why.contains("cannot reach")));
}

#[test]
fn mail_in_the_clear_stays_on_this_machine() {
    let site = Site::new();
    let far = settings(25, "none", "\"ops@example.org\"").replace("localhost", "mail.example");
    let error = site.try_open(&far).unwrap_err();
    assert!(
        error.contains("mail to mail.example:25 would go in the clear"),
        "{error}"
    );
    let (port, heard) = server(|socket| {
        socket.write_all(b"220 a\r\n").unwrap();
        answer(socket, "250 a\r\n");
        answer(socket, "250 ok\r\n");
        answer(socket, "250 ok\r\n");
        answer(socket, "354 go\r\n");
        let mut text = String::new();
        let mut lines = BufReader::new(&*socket);
        while text != ".\r\n" {
            text.clear();
            assert!(0 < lines.read_line(&mut text).unwrap());
        }
        drop(lines);
        socket.write_all(b"250 taken\r\n").unwrap();
    });
    let near = settings(port, "none", "\"ops@example.org\"")
        .replace("user = \"evident\"", "")
        .replace("secret_file = \"secret\"", "");
    assert_eq!(
        site.deliver(&site.open(&near), &notice(1, Occasion::Test)),
        Ok(())
    );
    assert_eq!(heard.join().unwrap(), "QUIT\r\n");
}
