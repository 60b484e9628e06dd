//! The rules of the registers that a second look found too weak.

use super::*;

/// A third person, `joe`, decides too.
fn with_joe() -> Desk {
    let mut desk = Desk::new();
    let key = SigningKey::from_seed([9; 32]).unwrap().public();
    desk.enter("uid 0", Decided::Person(joe(key.to_pem(), true)));
    desk
}

fn joe(key: String, active: bool) -> Person {
    Person {
        id: person("joe"),
        name: "Joe".to_owned(),
        email: String::new(),
        key,
        active,
    }
}

const COMMENT: &[(&str, &str)] = &[("comment", "looked at")];

#[test]
fn a_group_that_is_widened_later_widens_no_exception() {
    let mut desk = with_joe();
    let define = "group define databases";
    desk.does("bob", define, &[("member", "db-1")]).unwrap();
    let mut fields = without("host");
    fields.push(("group", "databases"));
    desk.does("bob", "exception propose", &fields).unwrap();
    desk.does("bob", "exception propose", &fields).unwrap();
    desk.does("joe", "exception approve EX-1", &[]).unwrap();
    desk.does("bob", define, &[("member", "*")]).unwrap();
    desk.now = desk.now.plus_ms(1);
    let covers = |desk: &Desk, host: &str| {
        let given = desk.register.exceptions(desk.now);
        let reach = &given[0].reach;
        assert!(reach.groups.is_empty());
        reach.covers(("backup.recent", &[]), (host, &["databases"]))
    };
    assert!(covers(&desk, "db-1"));
    assert!(!covers(&desk, "web-1"));
    // A group that has ended is no group to approve anything for.
    desk.does("bob", "group end databases", &[]).unwrap();
    let ended = ("group", "has ended");
    desk.refuses("joe", "exception approve EX-2", &[], ended);
    desk.refuses("bob", "exception propose", &fields, ended);
    assert!(covers(&desk, "db-1"));
}

#[test]
fn an_owner_who_left_keeps_an_exception_from_approval() {
    let mut desk = with_joe();
    desk.does("bob", "exception propose", &with("owner", "joe"))
        .unwrap();
    let key = desk.register.person(&person("joe")).unwrap().key.clone();
    desk.enter("uid 0", Decided::Person(joe(key, false)));
    let left = ("owner", "has left");
    desk.refuses("ada", "exception approve EX-1", &[], left);
}

#[test]
fn what_ended_by_itself_is_said() {
    let mut desk = Desk::new();
    desk.does("bob", "exception propose", &with("owner", "bob"))
        .unwrap();
    desk.does("ada", "exception approve EX-1", &[]).unwrap();
    let record = desk.register.record("exception", "EX-1").unwrap();
    let standing = |at| desk.register.standing("exception", record, at);
    assert_eq!(standing(desk.now), "approved");
    let end = at("2026-07-31T22:00:00Z");
    assert_eq!(standing(end), "approved, ended 2026-07-31");
}

#[test]
fn silence_is_about_something_and_short() {
    let mut desk = Desk::new();
    let line = "silence begin";
    let mut fields = vec![
        ("reason", "rack 7 moves"),
        ("until", "2026-07-01T00:00:00Z"),
    ];
    desk.refuses("ada", line, &fields, ("host", "must be named"));
    fields.push(("severity", "low"));
    desk.refuses("ada", line, &fields, ("host", "must be named"));
    fields.push(("host", "*"));
    desk.does("ada", line, &fields).unwrap();
    fields[1].1 = "2026-07-01T00:00:01Z";
    desk.refuses("ada", line, &fields, ("until", "30 days at most"));
    let known = [("comment", "I look"), ("host", "db-1 | **")];
    desk.refuses(
        "ada",
        "acknowledgement give",
        &known,
        ("until", "all hosts"),
    );
    desk.does(
        "ada",
        "acknowledgement give",
        &[known[0], ("host", "web-*")],
    )
    .unwrap();
}

/// A revision of a document, brought with what only some revisions have.
fn submit(desk: &mut Desk, by: &str, line: &str, owner: &str, more: &[(&str, &str)]) {
    let mut fields = vec![
        ("title", "Policy"),
        ("requirement", "A.5.1"),
        ("covers_from", "2026-01-01T00:00:00Z"),
        ("owner", owner),
        ("revision", if line.ends_with('1') { "2" } else { "1" }),
    ];
    fields.extend(more);
    desk.does(by, line, &fields).unwrap();
}

#[test]
fn the_last_approved_revision_counts_and_nothing_of_an_older_one_lives_on() {
    let mut desk = with_joe();
    let file = Digest::of(b"policy");
    drop(desk.documents.insert(file, b"policy".to_vec()));
    let text = file.to_string();
    let first = [
        ("document", text.as_str()),
        ("covers_to", "2027-01-01T00:00:00Z"),
        ("expires", "2027-06-01T00:00:00Z"),
        ("review_by", "2026-06-10"),
    ];
    submit(&mut desk, "bob", "document submit", "ada", &first);
    let approve = "document approve DOC-1";
    assert_eq!(desk.register.documents(desk.now), []);
    desk.does("joe", approve, &[]).unwrap();
    let [one] = desk.register.documents(desk.now).try_into().unwrap();
    assert_eq!((one.file, one.revision.as_str()), (Some(file), "1"));
    assert_eq!(
        (one.brought_by.as_str(), one.approved_by.as_str()),
        ("bob", "joe")
    );
    // Its words have an end, which is not among what they cover.
    assert_eq!(desk.register.documents(at("2025-12-31T00:00:00Z")), []);
    assert_eq!(desk.register.documents(at("2026-01-01T00:00:00Z")).len(), 1);
    assert_eq!(desk.register.documents(at("2027-01-01T00:00:00Z")), []);
    // The next revision neither ends it nor quiets what is due of it.
    let due = desk.register.due(desk.now);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].at, at("2026-06-11T00:00:00Z"));
    assert_eq!(due[0].since, desk.now);
    let place = [("location", "wiki/policy")];
    submit(&mut desk, "joe", "document submit DOC-1", "ada", &place);
    assert_eq!(desk.register.documents(desk.now), [one]);
    assert_eq!(desk.register.due(desk.now), due);
    let record = desk.register.record("document", "DOC-1").unwrap();
    let standing = desk.register.standing("document", record, desk.now);
    assert_eq!(standing, "submitted, revision 1 counts");
    // Who brought a part since the last approval does not approve the whole.
    desk.does("bob", "document refuse DOC-1", COMMENT).unwrap();
    submit(&mut desk, "bob", "document submit DOC-1", "ada", &place);
    desk.refuses("joe", approve, &[], ("by", "took the step `submit`"));
    submit(&mut desk, "ada", "document submit DOC-1", "bob", &place);
    desk.refuses("joe", approve, &[], ("by", "took the step `submit`"));
    desk.refuses("ada", approve, &[], ("by", "took the step `submit`"));
    let key = SigningKey::from_seed([10; 32]).unwrap().public().to_pem();
    let mut kim = joe(key, true);
    kim.id = person("kim");
    desk.enter("uid 0", Decided::Person(kim));
    desk.does("kim", approve, &[]).unwrap();
    let [two] = desk
        .register
        .documents(at("2028-01-01T00:00:00Z"))
        .try_into()
        .unwrap();
    assert_eq!(
        (two.file, two.location.as_deref()),
        (None, Some("wiki/policy"))
    );
    assert_eq!(
        (two.covers_to, two.expires, two.review_by),
        (None, None, None)
    );
    desk.does("bob", "document retire DOC-1", COMMENT).unwrap();
    assert_eq!(desk.register.documents(desk.now), []);
}

const RISK: &[(&str, &str)] = &[
    ("title", "fire"),
    ("owner", "ada"),
    ("likelihood", "2"),
    ("impact", "5"),
];
const TREAT: &[(&str, &str)] = &[
    ("option", "mitigate"),
    ("plan", "a second site"),
    ("due", "2026-06-30"),
    ("residual_likelihood", "1"),
    ("residual_impact", "5"),
];
const ACCEPT: &[(&str, &str)] = &[("reason", "insured"), ("review_by", "2027-06-01")];

#[test]
fn nobody_makes_themselves_the_owner_of_a_risk_and_accepts_it() {
    let mut desk = Desk::new();
    desk.does("bob", "risk identify", RISK).unwrap();
    desk.does("bob", "risk treat R-1", TREAT).unwrap();
    let mut own = [
        ("likelihood", "1"),
        ("impact", "5"),
        ("reason", "why"),
        ("owner", "bob"),
    ];
    desk.does("bob", "risk assess R-1", &own).unwrap();
    desk.does("bob", "risk treat R-1", TREAT).unwrap();
    let alone = ("by", "made `bob` the owner");
    desk.refuses("bob", "risk accept R-1", ACCEPT, alone);
    own[3].1 = "ada";
    desk.does("bob", "risk assess R-1", &own).unwrap();
    desk.does("bob", "risk treat R-1", TREAT).unwrap();
    desk.does("ada", "risk accept R-1", ACCEPT).unwrap();
    // The treatment is told until it is done, and a day ends at its end.
    let due = desk.register.due(desk.now.plus_ms(20 * 86_400_000));
    let due: Vec<_> = due.iter().map(|due| (due.field.as_str(), due.at)).collect();
    assert_eq!(due, [("due", at("2026-07-01T00:00:00Z"))]);
    desk.does("bob", "risk done R-1", COMMENT).unwrap();
    let due = desk.register.due(desk.now.plus_ms(20 * 86_400_000));
    assert_eq!(due, []);
}

#[test]
fn an_objective_is_reached_when_its_last_value_reaches_it() {
    let mut desk = Desk::new();
    let mut set = [
        ("title", "restores work"),
        ("owner", "ada"),
        ("target", "95"),
        ("unit", "percent"),
        ("direction", "at least"),
        ("method", "monthly"),
        ("due", "2027-12-31"),
    ];
    let line = "objective set O-1";
    desk.does("bob", "objective set", &set).unwrap();
    let close = [("outcome", "reached"), ("comment", "well")];
    let not = ("outcome", "does not reach");
    desk.refuses("ada", "objective close O-1", &close, not);
    let mut measure = [
        ("value", "99"),
        ("measured_at", "2026-05-31T00:00:00Z"),
        ("comment", "x"),
    ];
    for value in ["99", "94"] {
        measure[0].1 = value;
        desk.does("ada", "objective measure O-1", &measure).unwrap();
    }
    desk.refuses("ada", "objective close O-1", &close, not);
    let record = desk.register.record("objective", "O-1").unwrap();
    let standing = desk.register.standing("objective", record, desk.now);
    assert_eq!(standing, "set, target not reached");
    set[2].1 = "90";
    desk.refuses("bob", line, &set, ("step", "set a new one"));
    measure[0].1 = "95";
    desk.does("ada", "objective measure O-1", &measure).unwrap();
    desk.does("ada", "objective close O-1", &close).unwrap();
}

#[test]
fn nobody_who_ever_owned_planned_or_did_it_confirms_it() {
    let mut desk = with_joe();
    let raise = [
        ("source", "monitoring"),
        ("requirement", "A.8.13"),
        ("grade", "minor"),
        ("statement", "two restores of four"),
        ("owner", "ada"),
    ];
    let plan = [
        ("extent", "all"),
        ("cause", "nobody was told"),
        ("action", "by program"),
        ("due", "2026-06-01"),
        ("criterion", "four"),
        ("check_from", "2026-06-02"),
        ("owner", "bob"),
    ];
    desk.does("joe", "nonconformity raise", &raise).unwrap();
    desk.does("bob", "nonconformity plan NC-1", &plan).unwrap();
    let mut late = [("implemented_on", "2026-06-02")];
    desk.now = at("2026-06-03T00:00:00Z");
    let line = "nonconformity implement NC-1";
    desk.refuses("bob", line, &late, ("check_from", "is not after"));
    late[0].1 = "2026-06-01";
    // It is overdue when its day is over.
    let due = desk.register.due(desk.now);
    assert_eq!(due[0].at, at("2026-06-02T00:00:00Z"));
    desk.does("bob", line, &late).unwrap();
    let line = "nonconformity confirm NC-1";
    desk.refuses("ada", line, COMMENT, ("by", "`ada` was the owner"));
    desk.refuses("bob", line, COMMENT, ("by", "`bob` is the owner"));
    desk.does("joe", line, COMMENT).unwrap();
    let correct = [
        ("correction", "made up for"),
        ("corrected_on", "2026-06-01"),
    ];
    desk.does("bob", "nonconformity correct NC-1", &correct)
        .unwrap();
    desk.does("joe", "nonconformity close NC-1", COMMENT)
        .unwrap();
    desk.does("joe", "nonconformity reopen NC-1", COMMENT)
        .unwrap();
    let record = desk.register.record("nonconformity", "NC-1").unwrap();
    for gone in ["correction", "cause", "due", "implemented_on"] {
        assert_eq!(record.text(gone), None, "{gone}");
    }
}

#[test]
fn a_management_review_names_each_input_that_was_not_there() {
    let mut desk = Desk::new();
    let all = "earlier actions | context | interested parties | nonconformities | measurements \
               | audits | objectives | risks";
    let mut review = vec![
        ("held_on", "2026-05-20"),
        ("attendee", "bob"),
        ("input", all),
        ("decisions", "storage is bought"),
        ("next_by", "2026-05-20"),
        ("missing", "Feedback: nobody was asked"),
    ];
    let line = "management-review hold";
    desk.refuses("bob", line, &review, ("next_by", "after this one"));
    review[4].1 = "2027-05-31";
    desk.refuses("bob", line, &review, ("attendee", "nobody but you"));
    review[1].1 = "ada | bob";
    desk.refuses("bob", line, &review, ("input", "looked at: improvement"));
    review[5].1 = "feedback and improvement: nobody was asked";
    desk.does("bob", line, &review).unwrap();
    let line = "management-review hold MR-1";
    review.truncate(5);
    let whole = format!("{all} | feedback | improvement");
    review[2].1 = &whole;
    desk.does("bob", line, &review).unwrap();
    let record = desk.register.record("management-review", "MR-1").unwrap();
    assert_eq!(record.text("missing"), None);
}
