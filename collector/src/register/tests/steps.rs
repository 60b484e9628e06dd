//! The way of a record from step to step, register by register.

use super::*;

/// Somebody has raised NC-1, whose owner is ada.
fn raised() -> Desk {
    let mut desk = Desk::new();
    let raised = [
        ("source", "internal audit"),
        ("requirement", "A.8.13 | 9.1"),
        ("grade", "minor"),
        (
            "statement",
            "two restores in the year, and the policy says four",
        ),
        ("owner", "ada"),
    ];
    desk.does("bob", "nonconformity raise", &raised).unwrap();
    desk
}

/// What ada plans about it.
const PLAN: &[(&str, &str)] = &[
    ("extent", "all sets of all sites; two more are late"),
    ("cause", "nobody was told to"),
    ("action", "the test runs by itself each month"),
    ("due", "2026-06-10"),
    ("criterion", "three months with a test each"),
    ("check_from", "2026-09-01"),
];
const COMMENT: &[(&str, &str)] = &[("comment", "looked at")];
const DONE: &[(&str, &str)] = &[("implemented_on", "2026-06-05")];

fn id(step: &str) -> String {
    format!("nonconformity {step} NC-1")
}

#[test]
fn a_nonconformity_names_a_requirement_and_a_grade() {
    let mut desk = raised();
    let mut wrong = [
        ("source", "internal audit"),
        ("requirement", "11.1"),
        ("grade", "minor"),
        ("statement", "two restores, and the policy says four"),
        ("owner", "ada"),
    ];
    desk.refuses(
        "bob",
        "nonconformity raise",
        &wrong,
        ("requirement", "no control `11.1`"),
    );
    wrong[1].1 = "A.8.13";
    wrong[2].1 = "huge";
    desk.refuses(
        "bob",
        "nonconformity raise",
        &wrong,
        ("grade", "major, minor, opportunity"),
    );
}

#[test]
fn a_nonconformity_is_closed_when_its_action_was_seen_to_work() {
    let mut desk = raised();
    desk.refuses(
        "bob",
        &id("close"),
        COMMENT,
        ("step", "only what is effective"),
    );
    desk.does("ada", &id("plan"), PLAN).unwrap();
    assert_eq!(desk.register.due(desk.now).len(), 1);
    desk.refuses("ada", &id("implement"), DONE, ("implemented_on", "to come"));
    desk.now = at("2026-06-06T00:00:00Z");
    desk.does("ada", &id("implement"), DONE).unwrap();
    desk.refuses(
        "bob",
        &id("confirm"),
        COMMENT,
        ("check-from", "cannot be seen before"),
    );
    desk.now = at("2026-09-02T00:00:00Z");
    desk.refuses("ada", &id("confirm"), COMMENT, ("by", "is the owner"));
    desk.does("bob", &id("confirm"), COMMENT).unwrap();
    desk.refuses("bob", &id("close"), COMMENT, ("correction", "done at once"));
    desk.does("bob", &id("reopen"), COMMENT).unwrap();
    assert_eq!(desk.state("nonconformity", "NC-1"), "open");
    desk.does(
        "ada",
        &id("correct"),
        &[
            ("correction", "two were made"),
            ("corrected_on", "2026-06-02"),
        ],
    )
    .unwrap();
    desk.refuses("ada", &id("plan"), PLAN, ("due", "is over"));
    let mut plan = PLAN.to_vec();
    (plan[3].1, plan[5].1) = ("2026-09-02", "2026-09-02");
    desk.refuses("ada", &id("plan"), &plan, ("check_from", "is not after"));
    plan[5].1 = "2026-09-03";
    desk.does("ada", &id("plan"), &plan).unwrap();
    desk.does("ada", &id("implement"), DONE).unwrap();
    desk.now = at("2026-09-03T00:00:00Z");
    desk.does("bob", &id("confirm"), COMMENT).unwrap();
    desk.does("bob", &id("close"), COMMENT).unwrap();
    let record = desk.register.record("nonconformity", "NC-1").unwrap();
    assert_eq!(
        (record.state.as_str(), record.history.len()),
        ("closed", 10)
    );
}

#[test]
fn the_latest_rule_of_the_scope_decides_and_groups_have_members() {
    let mut desk = Desk::new();
    desk.does(
        "ada",
        "group define databases",
        &[("member", "db-* | pg.example*")],
    )
    .unwrap();
    desk.refuses(
        "ada",
        "group define Data_Bases",
        &[("member", "db-*")],
        ("id", "is no name"),
    );
    desk.refuses(
        "ada",
        "scope exclude",
        &[("reason", "why not")],
        ("host", "must be named"),
    );
    desk.does(
        "ada",
        "scope exclude",
        &[("group", "databases"), ("reason", "another company")],
    )
    .unwrap();
    desk.does(
        "ada",
        "scope include",
        &[("host", "db-1"), ("reason", "ours")],
    )
    .unwrap();
    let groups = desk.register.groups();
    let decides = |host: &str| {
        let host: AgentId = host.parse().unwrap();
        let own = views::groups_of(&groups, &host);
        let rules = desk.register.scope();
        let rule = rules
            .into_iter()
            .find(|rule| rule.reach.names(host.as_str(), &own));
        rule.map(|rule| (rule.id, rule.included))
    };
    assert_eq!(decides("db-1"), Some(("SC-2".to_owned(), true)));
    assert_eq!(decides("db-2"), Some(("SC-1".to_owned(), false)));
    assert_eq!(decides("web-1"), None);
}

#[test]
fn people_see_what_they_own_and_others_check() {
    let mut desk = Desk::new();
    let risk = [
        ("title", "fire"),
        ("owner", "ada"),
        ("likelihood", "2"),
        ("impact", "5"),
    ];
    desk.does("bob", "risk identify", &risk).unwrap();
    desk.refuses(
        "bob",
        "risk identify",
        &[risk[0], risk[1], risk[2], ("impact", "6")],
        ("impact", "from 1 to 5"),
    );
    let mut plan = vec![
        ("option", "mitigate"),
        ("plan", "a second site"),
        ("due", "2026-12-31"),
        ("residual_likelihood", "3"),
        ("residual_impact", "1"),
    ];
    desk.refuses(
        "bob",
        "risk treat R-1",
        &plan,
        ("residual_likelihood", "more than there was"),
    );
    plan[3].1 = "1";
    desk.does("bob", "risk treat R-1", &plan).unwrap();
    let accept = [("reason", "it is insured"), ("review_by", "2027-06-01")];
    desk.refuses("bob", "risk accept R-1", &accept, ("by", "only the owner"));
    desk.does("ada", "risk accept R-1", &accept).unwrap();
}

#[test]
fn nobody_audits_what_they_own_and_missing_inputs_are_said() {
    let mut desk = Desk::new();
    let audit = [
        ("title", "Backups"),
        ("requirement", "A.8.13"),
        ("criteria", "policy"),
        ("auditor", "ada | bob"),
        ("owner", "ada"),
        ("from", "2026-06-01"),
        ("to", "2026-06-02"),
    ];
    desk.refuses(
        "bob",
        "audit plan",
        &audit,
        ("auditor", "answers for what is audited"),
    );
    let review = [
        ("held_on", "2026-05-20"),
        ("attendee", "ada | bob"),
        ("input", "risks | audits"),
        ("decisions", "storage is bought"),
        ("next_by", "2027-05-31"),
    ];
    desk.refuses(
        "bob",
        "management-review hold",
        &review,
        ("input", "feedback"),
    );
}

#[test]
fn documents_and_evidence_must_be_there() {
    let mut desk = Desk::new();
    let document = [
        ("title", "Policy"),
        ("requirement", "5.2 | A.5.1"),
        ("covers_from", "2026-01-01T00:00:00Z"),
        ("owner", "ada"),
        ("revision", "1"),
    ];
    desk.refuses(
        "bob",
        "document submit",
        &document,
        ("document", "or where it is"),
    );
    let file = Digest::of(b"policy").to_string();
    let mut with_file = document.to_vec();
    with_file.push(("document", &file));
    desk.refuses(
        "bob",
        "document submit",
        &with_file,
        ("document", "was not given"),
    );
    drop(
        desk.documents
            .insert(Digest::of(b"policy"), b"policy".to_vec()),
    );
    desk.does("bob", "document submit", &with_file).unwrap();
    let evidence = Digest::of(b"unknown").to_string();
    let conclude = [
        ("control", "A.8.13"),
        ("from", "2026-01-01T00:00:00Z"),
        ("to", "2026-06-02T00:00:00Z"),
        ("conclusion", "effective"),
        ("owner", "ada"),
        ("comment", "all restored"),
    ];
    desk.refuses("bob", "review conclude", &conclude, ("to", "to come"));
    let mut conclude = conclude.to_vec();
    conclude[2].1 = "2026-05-31T00:00:00Z";
    desk.refuses("ada", "review conclude", &conclude, ("by", "is the owner"));
    let mut strange = conclude.clone();
    strange.push(("evidence", &evidence));
    desk.refuses(
        "bob",
        "review conclude",
        &strange,
        ("evidence", "the ledger has no record"),
    );
    desk.does("bob", "review conclude", &conclude).unwrap();
    assert_eq!(desk.register.conclusions().len(), 1);
}

/// What a person proposes with this text as the statement.
fn statement(desk: &mut Desk, text: &str) -> Result<(), Refusal> {
    let id = Digest::of(text.as_bytes());
    drop(desk.documents.insert(id, text.as_bytes().to_vec()));
    let document = id.to_string();
    let version = format!("2026-{}", desk.entries);
    let fields = [
        ("document", document.as_str()),
        ("version", &version),
        ("reason", "the first one"),
    ];
    desk.does("bob", "applicability propose", &fields)
}

#[test]
fn a_statement_is_approved_when_people_have_said_all_that_only_they_can() {
    use crate::catalog::soa::Soa;

    let mut desk = Desk::new();
    let template = Soa::template();
    let refusal = statement(&mut desk, "soa = 1").unwrap_err();
    assert_eq!(refusal.operand, "document");
    statement(&mut desk, &template).unwrap();
    let id = "applicability approve SOA-1";
    desk.refuses("bob", id, &[], ("by", "took the step"));
    desk.refuses("ada", id, &[], ("document", "93 controls lack"));
    assert_eq!(desk.register.soa(), None);
    let filled = template.replace("justification = \"\"", "justification = \"we do this\"");
    let strange = filled.replacen("owner = \"\"", "owner = \"eve\"", 1);
    assert_ne!(strange, filled);
    let refusal = statement(&mut desk, &strange).unwrap_err();
    assert!(
        refusal.problem.contains("nobody is known as `eve`"),
        "{refusal}"
    );
    statement(&mut desk, &filled).unwrap();
    let nobody = ("document", "nobody answers for it");
    desk.refuses("ada", "applicability approve SOA-2", &[], nobody);
    let filled = filled.replace("owner = \"\"", "owner = \"bob\"");
    statement(&mut desk, &filled).unwrap();
    desk.does("ada", "applicability approve SOA-3", &[])
        .unwrap();
    let in_force = desk.register.soa().unwrap();
    assert_eq!(
        (in_force.id.as_str(), in_force.approver.as_str()),
        ("SOA-3", "ada")
    );
    assert_eq!(in_force.document, Digest::of(filled.as_bytes()));
    // A name means one version; and who brought the words does not approve them.
    let document = in_force.document.to_string();
    let mut again = [
        ("document", document.as_str()),
        ("version", in_force.version.as_str()),
        ("reason", "once more"),
    ];
    let line = "applicability propose";
    desk.refuses("ada", line, &again, ("version", "SOA-3 is called so"));
    again[1].1 = "2027-1";
    desk.does("ada", line, &again).unwrap();
    let same = ("by", "the same statement as SOA-3");
    desk.refuses("bob", "applicability approve SOA-4", &[], same);
    // Who owns a control says the statement in force, and not the reviewer.
    let mut conclude = vec![
        ("control", "A.8.13"),
        ("from", "2026-01-01T00:00:00Z"),
        ("to", "2026-05-31T00:00:00Z"),
        ("conclusion", "effective"),
        ("comment", "all restored"),
    ];
    let line = "review conclude";
    let owner = "`bob` is the owner of A.8.13, as SOA-3 says";
    desk.refuses("bob", line, &conclude, ("by", owner));
    conclude.push(("owner", "ada"));
    desk.refuses("bob", line, &conclude, ("owner", owner));
    conclude.truncate(5);
    desk.does("ada", line, &conclude).unwrap();
    let audit = [
        ("title", "Backups"),
        ("requirement", "9.1 | A.8.13"),
        ("criteria", "policy"),
        ("auditor", "bob"),
        ("owner", "ada"),
        ("from", "2026-06-01"),
        ("to", "2026-06-02"),
    ];
    desk.refuses("ada", "audit plan", &audit, ("auditor", owner));
}
