//! The engine with receivers that work, fail, refuse and hang.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, sleep};

use super::super::{Occasion, condition, settings};
use super::*;

/// Told at once, over at once.
const ROUTES: &str = r#"
    [[route]]
    name = "all"
    match = {}
    channels = ["mail", "chat"]
    group_by = ["host"]
    group_wait_seconds = 0
    resolve_after_seconds = 0
"#;
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver.
#[derive(Default)]
struct Receiver {
    down: AtomicBool,
    hangs: AtomicBool,
    refuses: AtomicBool,
    tried: Mutex<u64>,
    told: Mutex<Vec<Notice>>,
}

impl Receiver {
    fn deliver(self: &Arc<Self>) -> Deliver {
        let receiver = Arc::clone(self);
        Arc::new(move |notice| {
            let receiver = Arc::clone(&receiver);
            Box::pin(async move {
                *receiver.tried.lock().unwrap() += 1;
                if receiver.down.load(Ordering::Relaxed) {
                    let why = "connection\nrefused".to_owned();
                    return Err(DeliveryError::Again { why, after: None });
                }
                if receiver.refuses.load(Ordering::Relaxed) {
                    return Err(DeliveryError::Refused("wrong key".to_owned()));
                }
                if receiver.hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                receiver.told.lock().unwrap().push(notice);
                Ok(())
            })
        })
    }

    /// The occasions, once there are so many.
    async fn occasions(&self, count: usize) -> Vec<(Occasion, u64)> {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.told.lock().unwrap().clone();
            if count <= told.len() {
                return told.iter().map(|one| (one.occasion, one.number)).collect();
            }
            assert!(Instant::now() < until, "{count} are due: {told:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A collector with two receivers.
struct Desk {
    dir: tempfile::TempDir,
    now: Arc<Mutex<Timestamp>>,
    mail: Arc<Receiver>,
    chat: Arc<Receiver>,
}

/// A process of it.
struct Running {
    engine: Arc<Engine>,
    stop: watch::Sender<bool>,
    workers: Vec<tokio::task::JoinHandle<()>>,
}

impl Desk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            now: Arc::new(Mutex::new("2026-03-01T00:00:00Z".parse().unwrap())),
            mail: Arc::default(),
            chat: Arc::default(),
        }
    }

    fn start(&self) -> Running {
        let now = Arc::clone(&self.now);
        let channels = [("mail", &self.mail), ("chat", &self.chat)];
        let channels = channels.map(|(name, receiver)| (name.to_owned(), receiver.deliver()));
        let engine = Engine::open(
            ("here".to_owned(), self.dir.path().join("alerts")),
            settings(ROUTES, &["mail", "chat"]),
            BTreeMap::from(channels),
            Arc::new(move || *now.lock().unwrap()),
        );
        let engine = Arc::new(engine.unwrap());
        let (stop, stopped) = watch::channel(false);
        let names: Vec<String> = engine.channels().map(str::to_owned).collect();
        let workers = names.into_iter().map(|name| {
            let engine = Arc::clone(&engine);
            tokio::spawn(engine.serve(name, stopped.clone()))
        });
        Running {
            workers: workers.collect(),
            engine,
            stop,
        }
    }

    fn pass(&self, ms: i64) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus_ms(ms);
    }
}

impl Running {
    fn look(&self, conditions: &[Condition]) {
        self.engine.look(conditions, &Quiet::default()).unwrap();
    }

    /// The process is told to stop, and does.
    async fn stopped(self) {
        self.stop.send_replace(true);
        for worker in self.workers {
            worker.await.unwrap();
        }
    }

    /// The process is killed.
    async fn killed(self) {
        for worker in self.workers {
            worker.abort();
            drop(worker.await);
        }
        // What a thread does for a worker comes to its end, and then the folder is free.
        while 1 < Arc::strong_count(&self.engine) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until nothing waits for a channel.
    async fn settled(&self, channel: &str) -> Pace {
        let until = Instant::now() + PATIENCE;
        loop {
            let pace = self.engine.listing().unwrap().channels[channel].clone();
            if pace.waiting == 0 {
                return pace;
            }
            assert!(Instant::now() < until, "{pace:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_channel_that_is_down_holds_no_other_and_gets_all_later() {
    let desk = Desk::new();
    desk.mail.down.store(true, Ordering::Relaxed);
    let running = desk.start();
    let one = [condition(
        "web-1 clock.one-daemon",
        *desk.now.lock().unwrap(),
    )];
    running.look(&one);
    assert_eq!(desk.chat.occasions(1).await, [(Occasion::Raised, 1)]);
    running.look(&[]);
    let both = [(Occasion::Raised, 1), (Occasion::Resolved, 2)];
    assert_eq!(desk.chat.occasions(2).await, both);
    desk.mail.down.store(false, Ordering::Relaxed);
    assert_eq!(desk.mail.occasions(2).await, both);
    assert!(2 < *desk.mail.tried.lock().unwrap());
    let pace = running.settled("mail").await;
    assert_eq!((pace.tally.delivered, pace.tally.failing), (2, None));
    running.stopped().await;
}

#[tokio::test]
async fn after_a_kill_only_what_was_in_flight_is_told_again() {
    let desk = Desk::new();
    desk.mail.hangs.store(true, Ordering::Relaxed);
    let running = desk.start();
    let one = [condition(
        "web-1 clock.one-daemon",
        *desk.now.lock().unwrap(),
    )];
    running.look(&one);
    assert_eq!(desk.chat.occasions(1).await.len(), 1);
    let _pace = running.settled("chat").await;
    while *desk.mail.tried.lock().unwrap() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    running.killed().await;
    desk.mail.hangs.store(false, Ordering::Relaxed);
    for _start in 0..3 {
        let running = desk.start();
        running.look(&one);
        assert_eq!(desk.mail.occasions(1).await, [(Occasion::Raised, 1)]);
        let _pace = running.settled("mail").await;
        running.killed().await;
    }
    assert_eq!(desk.chat.occasions(1).await, [(Occasion::Raised, 1)]);
    let (mail, chat) = (
        desk.mail.told.lock().unwrap(),
        desk.chat.told.lock().unwrap(),
    );
    assert_eq!(*mail, *chat);
}

#[tokio::test]
async fn others_are_told_that_a_channel_does_not_work_and_that_it_does_again() {
    let desk = Desk::new();
    desk.mail.refuses.store(true, Ordering::Relaxed);
    let running = desk.start();
    let one = [condition(
        "web-1 clock.one-daemon",
        *desk.now.lock().unwrap(),
    )];
    running.look(&one);
    let pace = running.settled("mail").await;
    assert_eq!(pace.tally.refused, 1);
    desk.pass(FAILING_MS);
    running.look(&one);
    let told = desk.chat.occasions(2).await;
    assert_eq!(told, [(Occasion::Raised, 1), (Occasion::Raised, 1)]);
    let undelivered = desk.chat.told.lock().unwrap()[1].clone();
    let text = "alert channel `mail` takes nothing: wrong key; try `evident-collector alert test \
                mail`";
    assert_eq!(undelivered.title, text);
    assert_eq!(undelivered.conditions[0].key, "undelivered/mail");
    // Tried once and no more: it was refused, and it is not told of itself.
    assert_eq!(*desk.mail.tried.lock().unwrap(), 1);
    desk.mail.refuses.store(false, Ordering::Relaxed);
    running.look(&[]);
    assert_eq!(desk.mail.occasions(1).await, [(Occasion::Resolved, 2)]);
    let _pace = running.settled("mail").await;
    running.look(&[]);
    let told = desk.chat.occasions(4).await;
    assert_eq!(
        told[2..],
        [(Occasion::Resolved, 2), (Occasion::Resolved, 2)]
    );
    let last = desk.chat.told.lock().unwrap()[3].incident.clone();
    assert_eq!(last, undelivered.incident);
    running.stopped().await;
}

#[tokio::test]
async fn what_waits_for_a_channel_that_is_no_more_is_given_up() {
    let desk = Desk::new();
    desk.mail.down.store(true, Ordering::Relaxed);
    let running = desk.start();
    let one = [condition(
        "web-1 clock.one-daemon",
        *desk.now.lock().unwrap(),
    )];
    running.look(&one);
    assert_eq!(desk.chat.occasions(1).await.len(), 1);
    let _pace = running.settled("chat").await;
    running.killed().await;
    let folder = desk.dir.path().join("alerts");
    let now = *desk.now.lock().unwrap();
    let engine = Engine::open(
        ("here".to_owned(), folder.clone()),
        settings("route = []", &["chat"]),
        BTreeMap::from([("chat".to_owned(), desk.chat.deliver())]),
        Arc::new(move || now),
    );
    let listing = engine.unwrap().listing().unwrap();
    let mail = &listing.channels["mail"];
    assert_eq!((mail.waiting, mail.tally.refused), (0, 1));
    assert_eq!(
        Held::read(&folder).unwrap().next("mail", &BTreeSet::new()),
        None
    );
    assert_eq!(listing.incidents[0].conditions[0].condition, one[0]);
}

#[test]
fn waits_grow_to_five_minutes_and_differ() {
    let at = Timestamp::default();
    for (failures, most) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (100, 300)] {
        let waits: Vec<_> = (0..50).map(|order| pause(failures, order, at)).collect();
        let most = Duration::from_secs(most);
        assert!(
            waits
                .iter()
                .all(|wait| *wait <= most && most * 3 / 4 <= *wait),
            "{waits:?}"
        );
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
    assert_eq!(short("a\r\nb\u{0}"), "a  b ");
}
