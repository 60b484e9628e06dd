//! The clocks of two hosts, measured by the collector.

use super::site::Site;

#[test]
fn clocks_are_compared_and_the_comparison_is_evidence() {
    let mut site = Site::start(300);
    let one = site.enrol("web-1");
    let two = site.enrol("web-2");
    assert_ne!(
        site.finding("offset.clock-agrees", "web-1")["verdict"],
        "pass"
    );
    site.compare_clocks(&one);
    let finding = site.becomes("offset.clock-agrees", "web-1", "pass");
    site.compare_clocks(&two);
    let _other = site.becomes("offset.clock-agrees", "web-2", "pass");

    let found = site.of_kind("offset");
    assert_eq!(found.len(), 2);
    let (statement, observation) = &found[0];
    assert_eq!(statement["predicate"]["agent"], "web-1");
    // One machine, one clock: what is left is the way over loopback.
    let facts = &observation["facts"];
    let number = |name: &str| facts[name].as_i64().unwrap();
    assert!(
        number("offset_ms").abs() <= number("delay_ms") / 2 + 1,
        "{facts}"
    );
    assert_eq!(number("error_min_ms"), 0, "{facts}");
    // It rests on the record that signed the times, and a finding names it.
    assert_eq!(statement["subject"][1]["name"], "attestation");
    assert!(finding["attestation"].is_string(), "{finding}");

    // After a restart the clock is measured again, and what was found stands.
    site.deployment.stop();
    site.deployment.serve();
    let _same = site.becomes("offset.clock-agrees", "web-1", "pass");
    site.compare_clocks(&one);
    assert_eq!(site.of_kind("offset").len(), 3);
    site.holds();
}
