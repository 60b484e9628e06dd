//! Tests of the registers: the table agrees with itself, and what is refused changes nothing.

use shared::key::SigningKey;

use super::*;

mod people;
mod rules;
mod steps;

/// A desk at which three people decide.
struct Desk {
    register: Register,
    catalog: Catalog,
    hosts: BTreeSet<AgentId>,
    documents: BTreeMap<Digest, Vec<u8>>,
    now: Timestamp,
    entries: u64,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self {
            register: Register::default(),
            catalog: Catalog::embedded().unwrap(),
            hosts: ["db-1", "web-1"].map(|host| host.parse().unwrap()).into(),
            documents: BTreeMap::new(),
            now: at("2026-06-01T00:00:00Z"),
            entries: 0,
        };
        for (seed, id) in (1..).zip(["ada", "bob", "eve"]) {
            let key = SigningKey::from_seed([seed; 32]).unwrap().public();
            let person = Person {
                id: id.parse().unwrap(),
                name: format!("{id} example"),
                email: String::new(),
                key: key.to_pem(),
                active: id != "eve",
            };
            desk.register.check_person(&person, None).unwrap();
            desk.enter("uid 0", Decided::Person(person));
        }
        desk
    }

    fn enter(&mut self, by: &str, decides: Decided) {
        let (at, by) = (self.now, by.to_owned());
        let decision = Decision {
            at,
            by,
            statement: None,
            decides,
        };
        let id = Digest::of(&self.entries.to_be_bytes());
        self.register.take(self.entries, id, decision);
        self.entries += 1;
    }

    /// Takes a step as it is written on a command line; ` | ` parts the values of a list.
    fn does(&mut self, by: &str, line: &str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut words = line.split(' ');
        let (register, name) = (words.next().unwrap(), words.next().unwrap());
        let declared = kind(register);
        let id = words.next().map(str::to_owned);
        let next = || declared.and_then(|kind| self.register.next_id(kind));
        let value = |field: &str, text: &str| {
            let declared = declared.and_then(|kind| kind.field(field));
            match declared {
                Some(field) if field.many => {
                    Value::List(text.split(" | ").map(str::to_owned).collect())
                }
                Some(Field {
                    kind: FieldKind::Number { .. },
                    ..
                }) => Value::Number(text.parse().unwrap()),
                _ => Value::Text(text.to_owned()),
            }
        };
        let record = id.or_else(next).unwrap_or_default();
        let known = self.register.record(register, &record);
        let step = Step {
            register: register.to_owned(),
            after: known.and_then(Record::last_decision),
            record,
            step: name.to_owned(),
            fields: fields
                .iter()
                .map(|(name, text)| ((*name).to_owned(), value(name, text)))
                .collect(),
        };
        let terms = Terms {
            catalog: &self.catalog,
            hosts: &self.hosts,
            has_record: &|id| *id == Digest::of(b"known"),
            document: &|id| self.documents.get(id).cloned(),
            now: self.now,
        };
        let person = person(by);
        self.register.check(&step, &person, &terms)?;
        self.enter(by, Decided::Record(step));
        Ok(())
    }

    /// The same, which must be refused with these words and change nothing.
    #[track_caller]
    fn refuses(
        &mut self,
        by: &str,
        line: &str,
        fields: &[(&str, &str)],
        (operand, why): (&str, &str),
    ) {
        let entries = self.entries;
        let refusal = self.does(by, line, fields).unwrap_err();
        assert_eq!(refusal.operand, operand, "{refusal:?}");
        let said = format!("{} {}", refusal.problem, refusal.hint);
        assert!(said.contains(why), "{said}");
        assert_eq!(self.entries, entries);
    }

    fn state(&self, register: &str, id: &str) -> &str {
        &self.register.record(register, id).unwrap().state
    }
}

fn person(id: &str) -> PersonId {
    id.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_table_agrees_with_itself() {
    let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), KINDS.len());
    for kind in KINDS {
        let name = kind.name;
        let fields: BTreeSet<_> = kind.fields.iter().map(|field| field.name).collect();
        assert_eq!(fields.len(), kind.fields.len(), "{name}: a field twice");
        let steps: BTreeSet<_> = kind.steps.iter().map(|step| step.name).collect();
        assert_eq!(steps.len(), kind.steps.len(), "{name}: a step twice");
        assert!(
            kind.steps.iter().any(StepKind::makes),
            "{name}: nothing makes a record"
        );
        let states: BTreeSet<_> = kind.steps.iter().map(|step| step.to).chain([NEW]).collect();
        let mut used = BTreeSet::new();
        for step in kind.steps {
            for state in step.from {
                assert!(
                    states.contains(state),
                    "{name} {}: no way to {state}",
                    step.name
                );
            }
            for field in step.clears {
                assert!(fields.contains(field), "{name} {}: {field}", step.name);
                assert!(!step.must.contains(field), "{name} {}: {field}", step.name);
            }
            for field in step.must.iter().chain(step.may) {
                assert!(
                    fields.contains(field),
                    "{name} {}: no field {field}",
                    step.name
                );
                let _first = used.insert(*field);
            }
            for who in step.who {
                match who {
                    Who::Is(field) | Who::IsNot(field) | Who::NeverWas(field) => assert_eq!(
                        kind.field(field).map(|field| field.kind),
                        Some(FieldKind::Person),
                        "{name} {}",
                        step.name
                    ),
                    Who::DidNot(other) | Who::Never(other) => {
                        assert!(steps.contains(other), "{name} {other}");
                    }
                }
            }
        }
        assert_eq!(used, fields, "{name}: a field that no step takes");
        for due in kind.due {
            let field = kind.field(due.field).unwrap();
            assert!(
                matches!(field.kind, FieldKind::Day | FieldKind::Instant),
                "{name}"
            );
            assert!(
                due.states.iter().all(|state| states.contains(state)),
                "{name}"
            );
        }
        for field in kind.fields {
            if let FieldKind::Record(of) = field.kind {
                assert!(names.contains(of), "{name}: {of}");
            }
        }
    }
}

const EXCEPTION: &[(&str, &str)] = &[
    ("check", "backup.recent"),
    ("host", "db-1"),
    ("reason", "the new storage comes in July"),
    ("owner", "ada"),
    ("until", "2026-08-01T00:00:00+02:00"),
];

fn without<'a>(field: &str) -> Vec<(&'a str, &'a str)> {
    EXCEPTION
        .iter()
        .filter(|(name, _)| *name != field)
        .copied()
        .collect()
}

fn with<'a>(field: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields = without(field);
    fields.push((field, text));
    fields
}

#[test]
fn an_exception_is_in_force_from_approval_to_its_end() {
    let mut desk = Desk::new();
    desk.does("bob", "exception propose", EXCEPTION).unwrap();
    assert_eq!(desk.register.exceptions(desk.now), []);
    desk.refuses("ada", "exception approve EX-1", &[], ("by", "is the owner"));
    desk.refuses(
        "bob",
        "exception approve EX-1",
        &[],
        ("by", "took the step `propose`"),
    );
    desk.refuses(
        "eve",
        "exception approve EX-1",
        &[],
        ("by", "may not decide"),
    );
    let key = SigningKey::from_seed([9; 32]).unwrap().public();
    desk.enter(
        "uid 0",
        Decided::Person(Person {
            id: "joe".parse().unwrap(),
            name: "Joe".to_owned(),
            email: String::new(),
            key: key.to_pem(),
            active: true,
        }),
    );
    let before = desk.now;
    desk.now = desk.now.plus_ms(1);
    desk.does("joe", "exception approve EX-1", &[]).unwrap();
    let [exception] = desk.register.exceptions(desk.now).try_into().unwrap();
    assert_eq!(
        (exception.owner.as_str(), exception.approver.as_str()),
        ("ada", "joe")
    );
    let groups: &[&str] = &[];
    assert!(
        exception
            .reach
            .covers(("backup.recent", &["A.8.13"]), ("db-1", groups))
    );
    assert!(
        !exception
            .reach
            .covers(("backup.recent", &["A.8.13"]), ("web-1", groups))
    );
    assert!(
        !exception
            .reach
            .covers(("clock.synchronised", &[]), ("db-1", groups))
    );
    // It reopens by itself, and the past stays as it was.
    let end = at("2026-07-31T22:00:00Z");
    assert_eq!(desk.register.exceptions(end.plus_ms(-1)).len(), 1);
    assert_eq!(desk.register.exceptions(end), []);
    assert_eq!(desk.register.at(before).exceptions(before), []);
    assert_eq!(desk.register.at(desk.now).exceptions(desk.now).len(), 1);
    // Only what is approved can be told to end soon.
    assert_eq!(desk.register.due(desk.now), []);
    assert_eq!(desk.register.due(at("2026-07-20T00:00:00Z")).len(), 1);
    desk.refuses(
        "joe",
        "exception approve EX-1",
        &[],
        ("step", "is for one that is proposed"),
    );
}

#[test]
fn a_wrong_exception_is_refused() {
    let mut desk = Desk::new();
    let line = "exception propose";
    for (fields, operand, why) in [
        (without("reason"), "reason", "it must be given"),
        (with("reason", "  "), "reason", "no letter"),
        (with("until", "2026-05-31T23:59:59Z"), "until", "is over"),
        (
            with("until", "2026-08-01T00:00:00"),
            "until",
            "no instant with a zone",
        ),
        (with("until", "tomorrow"), "until", "RFC 3339"),
        (with("owner", "adam"), "owner", "did you mean `ada`"),
        (with("owner", "eve"), "owner", "has left"),
        (with("host", "db-2"), "host", "did you mean `db-1`"),
        (with("host", "DB"), "host", "no name of hosts"),
        (
            with("check", "backup.resent"),
            "check",
            "did you mean `backup.recent`",
        ),
        (with("control", "A.8.35"), "control", "no control"),
        (with("control", "A.12.3.1"), "control", "2013 edition"),
        (with("group", "databases"), "group", "there is no group"),
        (with("risk", "R-1"), "risk", "there is no risk"),
        (with("sevrity", "high"), "sevrity", "takes no such field"),
        (without("host"), "host", "must be named"),
        (without("check"), "check", "must be named"),
        (with("reason", "a\u{1b}[31m"), "reason", "does not print"),
        (
            with("reason", "good\u{202e}dab"),
            "reason",
            "does not print",
        ),
        (with("until", "2027-06-01T00:00:01Z"), "until", "365 days"),
    ] {
        desk.refuses("bob", line, &fields, (operand, why));
    }
    desk.refuses(
        "bob",
        "exeption propose X",
        EXCEPTION,
        ("register", "did you mean `exception`"),
    );
    desk.refuses(
        "bob",
        "exception proprose",
        EXCEPTION,
        ("step", "did you mean `propose`"),
    );
    desk.refuses(
        "bob",
        "exception propose EX-7",
        EXCEPTION,
        ("id", "the next one is `EX-1`"),
    );
    desk.refuses(
        "bob",
        "exception approve EX-1",
        &[],
        ("id", "there is no exception"),
    );
    let long = "x".repeat(4097);
    desk.refuses(
        "bob",
        line,
        &with("reason", &long),
        ("reason", "4096 are taken at most"),
    );
}

#[test]
fn a_person_needs_a_name_and_a_key_of_their_own() {
    let desk = Desk::new();
    let key = SigningKey::from_seed([7; 32]).unwrap().public().to_pem();
    let good = Person {
        id: "joe".parse().unwrap(),
        name: "Joe Example".to_owned(),
        email: "joe@example.org".to_owned(),
        key,
        active: true,
    };
    assert_eq!(desk.register.check_person(&good, None), Ok(()));
    let taken = SigningKey::from_seed([1; 32]).unwrap().public().to_pem();
    for (person, operand) in [
        (
            Person {
                name: " ".to_owned(),
                ..good.clone()
            },
            "name",
        ),
        (
            Person {
                email: "joe".to_owned(),
                ..good.clone()
            },
            "email",
        ),
        (
            Person {
                email: "a@b\r\nBcc: c".to_owned(),
                ..good.clone()
            },
            "email",
        ),
        (
            Person {
                key: "no key".to_owned(),
                ..good.clone()
            },
            "key",
        ),
        (Person { key: taken, ..good }, "key"),
    ] {
        let refusal = desk.register.check_person(&person, None).unwrap_err();
        assert_eq!(refusal.operand, operand);
    }
}

#[test]
fn what_a_newer_program_decided_is_kept_and_harms_nothing() {
    let mut desk = Desk::new();
    let step = Step {
        register: "unheard-of".to_owned(),
        record: "X-1".to_owned(),
        step: "begin".to_owned(),
        after: None,
        fields: BTreeMap::new(),
    };
    desk.enter("ada", Decided::Record(step));
    assert_eq!(desk.register.records("unheard-of").len(), 1);
    assert_eq!(desk.register.due(desk.now), []);
}
