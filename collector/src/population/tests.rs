//! Tests of the population: names that mean the same, and how machines stand.

use proptest::prelude::*;
use shared::observation::Observation;

use super::*;
use crate::inventory::read;
use crate::register::Pattern;
use crate::register::views::Reach;

/// A fleet as a test writes it down.
struct Site {
    enrolled: Vec<Enrolled>,
    lists: Vec<List>,
    told: Vec<Told>,
    groups: Groups,
    scope: Vec<ScopeRule>,
}

fn at(hour: i64) -> Timestamp {
    let begin: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    begin.plus_ms(hour * 3_600_000)
}

fn machine(text: &str) -> Machine {
    Machine::read(text).unwrap()
}

impl Site {
    const fn new() -> Self {
        Self {
            enrolled: Vec::new(),
            lists: Vec::new(),
            told: Vec::new(),
            groups: Groups::new(),
            scope: Vec::new(),
        }
    }

    /// Hosts that are enrolled; a name behind `=` is what the host calls itself, then addresses.
    fn enrolled(mut self, hosts: &[&str]) -> Self {
        for text in hosts {
            let mut words = text.split(' ');
            let (host, name) = match words.next().unwrap().split_once('=') {
                Some((host, name)) => (host, Some(name.to_owned())),
                None => (*text, None),
            };
            let host = host.split(' ').next().unwrap();
            let addresses: Vec<IpAddr> = words.map(|word| word.parse().unwrap()).collect();
            let own = name.is_some() || !addresses.is_empty();
            self.enrolled.push(Enrolled {
                host: host.parse().unwrap(),
                since: at(0),
                retired: None,
                silent: None,
                own: own.then_some(Own { name, addresses }),
            });
        }
        self
    }

    fn list(mut self, name: &str, csv: &str) -> Self {
        self.lists.push(List {
            name: name.to_owned(),
            document: Digest::of(csv.as_bytes()),
            dated: at(1),
            record: Digest::of(name.as_bytes()),
            hosts: read(name, csv.as_bytes()).unwrap(),
        });
        self
    }

    fn told(mut self, by: &str, way: Way, machines: &[&str]) -> Self {
        for text in machines {
            let mut words = text.split(' ');
            let machine = machine(words.next().unwrap());
            let mut told = Told {
                machine,
                address: None,
                mac: String::new(),
                way,
                by: by.parse().unwrap(),
                at: at(2),
                record: Digest::of(by.as_bytes()),
            };
            for word in words {
                match word.parse() {
                    Ok(address) => told.address = Some(address),
                    Err(_mac) => word.clone_into(&mut told.mac),
                }
            }
            self.told.push(told);
        }
        self
    }

    fn rule(mut self, included: bool, hosts: &[&str], groups: &[&str]) -> Self {
        let id = format!("SC-{}", self.scope.len() + 1);
        let reach = Reach {
            hosts: hosts.iter().map(|one| Pattern::new(one).unwrap()).collect(),
            groups: groups.iter().map(|one| (*one).to_owned()).collect(),
            ..Reach::default()
        };
        let rule = ScopeRule {
            id,
            included,
            reach,
            reason: "a reason".to_owned(),
        };
        self.scope.insert(0, rule);
        self
    }

    fn look(&self) -> Population {
        reconcile(&Given {
            at: at(3),
            enrolled: self.enrolled.clone(),
            lists: self.lists.clone(),
            told: self.told.clone(),
            groups: &self.groups,
            scope: &self.scope,
        })
    }

    /// Compares machines as `name state`, in the order of names, and what is ambiguous.
    #[track_caller]
    fn check(&self, machines: &[&str], ambiguous: &[&str]) {
        let population = self.look();
        let rows = population.machines.iter();
        let found: Vec<_> = rows
            .map(|row| format!("{} {}", row.name, row.state.as_str()))
            .collect();
        assert_eq!(found, machines);
        let unsure = population.ambiguous.iter();
        let unsure: Vec<_> = unsure
            .map(|one| format!("{}: {}", one.name, one.could_be.join(" ")))
            .collect();
        assert_eq!(unsure, ambiguous);
    }
}

#[test]
fn machines_stand_as_lists_and_evidence_say() {
    let mut site = Site::new()
        .enrolled(&["web-1", "web-2", "db-1", "lab-1", "old-1", "old-2"])
        .list("cmdb", "host\nweb-1\nweb-2\ndb-2\nold-2\n")
        .list("cloud", "host\nweb-1.example.org\ndb-2.example.org\n")
        .told("web-1", Way::Ssh, &["db-2", "printer-3", "web-1", "lab-2"])
        .rule(false, &["lab-*"], &[]);
    site.enrolled[1].silent = Some(at(2));
    site.enrolled[4].retired = Some(at(2));
    // Revoked, and a list still has it: somebody must say which is right.
    site.enrolled[5].retired = Some(at(2));
    site.check(
        &[
            "db-1 enrolled",
            "db-2 expected",
            "lab-1 out-of-scope",
            "lab-2 out-of-scope",
            "old-1 retired",
            "old-2 expected",
            "printer-3 seen",
            "web-1 enrolled",
            "web-2 silent",
        ],
        &[],
    );
    let population = site.look();
    assert!(population.reconciled);
    let counts = population.counts;
    assert_eq!(
        (
            counts.in_scope,
            counts.enrolled,
            counts.silent,
            counts.expected,
            counts.seen
        ),
        (6, 2, 1, 2, 1)
    );
    assert_eq!((counts.out_of_scope, counts.retired), (2, 1));
    let lists = population.lists.iter();
    let lists: Vec<_> = lists
        .map(|list| (list.hosts, list.in_scope, list.enrolled))
        .collect();
    assert_eq!(lists, [(4, 4, 2), (2, 2, 1)]);
    let db_2 = &population.machines[1];
    assert_eq!((db_2.listed.len(), db_2.seen_count), (2, 1));
    assert_eq!(db_2.called, ["db-2", "db-2.example.org"]);
}

#[test]
fn one_source_is_no_reconciliation() {
    let none = Site::new().enrolled(&["web-1"]);
    assert!(!none.look().reconciled);
    let one = none.list("cmdb", "host\nweb-1\n");
    assert_eq!(
        one.look().sources,
        "held against cmdb alone: two are wanted"
    );
    // A host that tells what it knows is a second one.
    let two = one.enrolled(&["web-2=web-2"]).look();
    assert!(two.reconciled);
    assert_eq!(
        two.sources,
        "held against cmdb, what 1 hosts know of others"
    );
    assert_eq!(two.counts.telling, 1);
}

#[test]
fn short_and_whole_names_are_one_where_only_one_fits() {
    Site::new()
        .enrolled(&["db-1"])
        .list("a", "host\ndb-1.eu.example.org\n")
        .check(&["db-1 enrolled"], &[]);
    Site::new()
        .enrolled(&["db-1"])
        .list("a", "host\ndb-1.eu.example.org\n")
        .list("b", "host\ndb-1.us.example.org\n")
        .check(
            &[
                "db-1 enrolled",
                "db-1.eu.example.org expected",
                "db-1.us.example.org expected",
            ],
            &["db-1: db-1.eu.example.org db-1.us.example.org"],
        );
    // What is only seen parts nothing that a list holds together.
    Site::new()
        .enrolled(&["db-1", "web-1"])
        .list("a", "host\ndb-1.eu.example.org\n")
        .told("web-1", Way::Ssh, &["db-1.other.example.net", "db-1"])
        .check(
            &[
                "db-1 enrolled",
                "db-1.other.example.net seen",
                "web-1 enrolled",
            ],
            &[],
        );
}

#[test]
fn a_host_is_known_again_by_the_name_and_the_addresses_that_it_tells() {
    Site::new()
        .enrolled(&[
            "agent-7=web-1.example.org 192.0.2.7 fe80::7",
            "web-2 192.0.2.2",
        ])
        .list(
            "cmdb",
            "host,address\nweb-1,\ni-0abc,192.0.2.2\n192.0.2.9,\n",
        )
        .told(
            "web-2",
            Way::Network,
            &["192.0.2.7 02:07", "fe80::7 02:07", "192.0.2.9"],
        )
        .told("agent-7", Way::Network, &["192.0.2.2", "192.0.2.7"])
        .check(
            &["192.0.2.9 expected", "agent-7 enrolled", "web-2 enrolled"],
            &[],
        );
    // Two hosts that call themselves alike are not one.
    Site::new()
        .enrolled(&["a=debian", "b=debian"])
        .told("a", Way::LogSender, &["debian"])
        .check(
            &["a enrolled", "b enrolled", "debian seen"],
            &["debian: a b"],
        );
    // A host that takes the name of another one gets nothing of it.
    Site::new()
        .enrolled(&["a=b", "b"])
        .list("cmdb", "host\nb\n")
        .check(
            &["a enrolled", "b enrolled"],
            &["b (as a calls itself): a b"],
        );
}

#[test]
fn an_address_of_several_is_nobodys() {
    Site::new()
        .list("cmdb", "host,address\nvip-1,192.0.2.5\nvip-2,192.0.2.5\n")
        .enrolled(&["web-1"])
        .told("web-1", Way::Network, &["192.0.2.5"])
        .check(
            &[
                "192.0.2.5 seen",
                "vip-1 expected",
                "vip-2 expected",
                "web-1 enrolled",
            ],
            &["192.0.2.5: vip-1 vip-2"],
        );
    Site::new()
        .enrolled(&["a 10.0.0.1", "b 10.0.0.1", "c"])
        .told("c", Way::Network, &["10.0.0.1"])
        .check(
            &["10.0.0.1 seen", "a enrolled", "b enrolled", "c enrolled"],
            &["10.0.0.1: a b"],
        );
    // Lists of two systems that agree on an address agree on the machine.
    Site::new()
        .list("cmdb", "host,address\ndb-9,192.0.2.9\n")
        .list("cloud", "host,address\ni-0abc,192.0.2.9\n")
        .check(&["db-9 expected"], &[]);
}

#[test]
fn addresses_beside_names_and_on_links_join_sightings() {
    let site = Site::new()
        .enrolled(&["web-1"])
        .told(
            "web-1",
            Way::HostsFile,
            &["nas-1 192.0.2.30", "nas-1.example.org 192.0.2.30"],
        )
        .told(
            "web-1",
            Way::Network,
            &["192.0.2.30 02:30", "fe80::30 02:30", "fe80::99 02:99"],
        );
    site.check(&["fe80::99 seen", "nas-1 seen", "web-1 enrolled"], &[]);
    assert_eq!(site.look().machines[1].seen_count, 4);
}

#[test]
fn the_latest_rule_that_names_a_machine_decides() {
    let mut site = Site::new()
        .enrolled(&["lab-1", "lab-2", "web-1"])
        .rule(false, &["lab-*"], &[])
        .rule(true, &["lab-2"], &[])
        .rule(false, &[], &["edge"]);
    let edge = vec![Pattern::new("web-*").unwrap()];
    drop(site.groups.insert("edge".to_owned(), edge));
    site.check(
        &["lab-1 out-of-scope", "lab-2 enrolled", "web-1 out-of-scope"],
        &[],
    );
    let population = site.look();
    let rule = population.machines[1].rule.clone().unwrap();
    assert_eq!((rule.id.as_str(), rule.included), ("SC-2", true));
    assert_eq!(population.machines[2].groups, ["edge"]);
}

#[test]
fn what_a_recorded_host_tells_is_understood() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/hosts/neighbours/neighbours.json"
    );
    let text = shared::durable::read_text(std::path::Path::new(path), 64 * 1024).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let observation = Observation::from_bytes(&serde_json::to_vec(&json).unwrap()).unwrap();
    let by: AgentId = "log-1".parse().unwrap();
    let mut site = Site::new()
        .enrolled(&["log-1"])
        .list("cmdb", "host\ndb-1\nlog-1\n");
    site.enrolled[0].own = Some(own(&observation.facts));
    site.told = told(&observation.facts, (&by, at(2), Digest::of(b"record")));
    let population = site.look();
    assert!(population.reconciled);
    let row = |name: &str| {
        population
            .machines
            .iter()
            .find(|row| row.name == name)
            .unwrap()
    };
    assert_eq!(row("log-1").state, State::Enrolled);
    assert!(row("log-1").called.contains(&"192.0.2.10".to_owned()));
    let db_1 = row("db-1");
    assert_eq!(db_1.state, State::Expected);
    // Its addresses stand in /etc/hosts, so the tables of the kernel show it too.
    assert_eq!(db_1.seen[0].way, Way::Network);
    assert!(db_1.called.contains(&"2001:db8::11".to_owned()));
    assert_eq!(row("printer-3").state, State::Seen);
    let text = population.text();
    assert!(
        text.contains("  printer-3: seen by log-1 (log sender, "),
        "{text}"
    );
    let table = csv(&population);
    assert!(
        table.contains("\r\nprinter-3,seen,printer-3,,log-1,1,"),
        "{table}"
    );
}

proptest! {
    /// Whatever lists and hosts say, the order in which they say it changes nothing, no machine is
    /// counted twice, and every one is somewhere.
    #[test]
    fn order_changes_nothing(
        rows in proptest::collection::vec(("[ab]-[12](\\.x|\\.y)?", 0_u8..4), 0..12),
        seen in proptest::collection::vec(("[abc]-[12](\\.x|\\.y|\\.z)?", 0_u8..4), 0..12),
    ) {
        let host = |(name, number): &(String, u8)| Listed {
            line: 2,
            host: machine(name),
            address: (*number != 0).then(|| IpAddr::from([192, 0, 2, *number])),
            group: String::new(),
            owner: String::new(),
            note: String::new(),
        };
        let mut site = Site::new()
            .enrolled(&["a-1=a-1.x 192.0.2.1", "b-1"])
            .list("one", "host\n")
            .list("two", "host\n");
        let mut listed: Vec<Listed> = rows.iter().map(host).collect();
        listed.sort_by(|one, other| one.host.cmp(&other.host));
        listed.dedup_by(|one, other| one.host == other.host);
        for (number, one) in listed.into_iter().enumerate() {
            site.lists[number % 2].hosts.push(one);
        }
        for (name, number) in &seen {
            let word = format!("{name} 192.0.2.{number}");
            site = site.told("b-1", Way::HostsFile, &[&word]);
        }
        let forward = site.look();
        site.enrolled.reverse();
        site.told.reverse();
        for list in &mut site.lists {
            list.hosts.reverse();
        }
        let backward = site.look();
        prop_assert_eq!(&forward.counts, &backward.counts);
        prop_assert_eq!(&forward.ambiguous, &backward.ambiguous);
        let states = |population: &Population| -> Vec<(String, State)> {
            let rows = population.machines.iter();
            let mut rows: Vec<_> = rows.map(|row| (row.called.join(" "), row.state)).collect();
            rows.sort();
            rows
        };
        prop_assert_eq!(states(&forward), states(&backward));
        let places: usize = forward.machines.iter().map(|row| row.listed.len()).sum();
        let wanted: usize = site.lists.iter().map(|list| list.hosts.len()).sum();
        prop_assert_eq!(places, wanted);
    }
}
