//! Collector and agent are killed without warning at random moments; nothing that has a receipt
//! is lost, nothing forks, and both go on by themselves.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "the seed repeats a failure")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use evident_tests::{Deployment, Host, ends};

/// How often something is killed.
const ROUNDS: u32 = 30;

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The highest record that the agent holds a proof for.
fn acked(host: &Host) -> Option<u64> {
    let status = host
        .agent("status")
        .args(["--format", "json"])
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    status.get("acked")?.as_u64()
}

#[test]
fn nothing_with_a_receipt_is_lost_and_nothing_forks() {
    let seed = std::env::var("EVIDENT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("EVIDENT_SEED={seed}");
    let mut random = Random(seed);
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    let mut proven = None;
    for round in 0..ROUNDS {
        let mut run = host
            .once()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = Instant::now() + Duration::from_millis(random.below(250));
        while Instant::now() < moment && run.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let agent_too = random.below(2) == 0;
        if agent_too {
            drop(run.kill());
        }
        if !agent_too || random.below(3) == 0 {
            deployment.kill();
        }
        let _killed = run.wait().unwrap();
        let now = acked(&host);
        assert!(
            proven <= now,
            "round {round}: proven {proven:?} before and {now:?} after"
        );
        proven = now;
        deployment.serve_again();
    }
    drop(ends(&host.once().output().unwrap(), 0));
    let last = acked(&host);
    assert!(proven < last, "the last run has no receipt");
    deployment.stop();
    let said = ends(&deployment.collector(&["fsck"]), 0);
    assert!(said.contains("nothing is wrong"), "{said}");
    drop(ends(&deployment.collector(&["replay"]), 0));
    let pack = deployment.pack("pack");
    let said = ends(&deployment.verify(&pack), 0);
    let whole = "1 streams have no gap, no second record for a number, and whole links";
    assert!(said.contains(whole), "{said}");
    let records = format!("{} attestations hold", last.unwrap() + 1);
    assert!(said.contains(&records), "{records}: {said}");
}
