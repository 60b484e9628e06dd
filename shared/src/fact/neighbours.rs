//! Facts of the other machines that a host knows of: by its network, its files and its work.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Which other machines this host knows of.
pub static SUBJECT: Subject = Subject {
    probe: "neighbours",
    observer: Observer::Host,
    schema: 1,
    title: "Which other machines this host knows of.",
    facts: FACTS,
};

const HOSTS_FILE: &str = "/etc/hosts: hosts(5)";
const KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts, /etc/ssh/ssh_known_hosts2, \
    /root/.ssh/known_hosts, /root/.ssh/known_hosts2: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT";
const LINKS: &str = "/proc/net/arp: proc_pid_net(5); RTM_GETNEIGH of family AF_INET6: rtnetlink(7)";
const PEERS: &str = "/etc/postgresql/*/*/pg_hba.conf, /var/lib/pgsql/data/pg_hba.conf, \
    /var/lib/pgsql/*/data/pg_hba.conf";
const SENDERS: &str = "/var/log/journal/remote; folders for each host in /etc/rsyslog.conf, \
    /etc/rsyslog.d, /etc/syslog-ng; agent.toml, [[probe.canary.watch]]";
const CLIENTS: &str = "/etc/rsnapshot.conf, /etc/backuppc/hosts, /etc/BackupPC/hosts, \
    /etc/burp/clientconfdir, /etc/pgbackrest.conf, /etc/pgbackrest, /etc/bareos, /etc/bacula";

const FACTS: &[Fact] = &[
    Fact {
        name: "addresses",
        kind: Kind::List(OWN),
        meaning: "Addresses of this host itself, so that it is known again where others tell of it",
        source: "RTM_GETADDR: rtnetlink(7)",
        right: "",
    },
    Fact {
        name: "client_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Machines that the settings of backup tools name; left out when not all were read",
        source: CLIENTS,
        right: "right to read the settings of the tool",
    },
    Fact {
        name: "clients",
        kind: Kind::List(NAMED),
        meaning: "These machines",
        source: CLIENTS,
        right: "right to read the settings of the tool",
    },
    Fact {
        name: "host_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Names of other machines in /etc/hosts",
        source: HOSTS_FILE,
        right: "",
    },
    Fact {
        name: "hosts",
        kind: Kind::List(HOSTS),
        meaning: "These names; what means this machine, nobody or a group is left out",
        source: HOSTS_FILE,
        right: "",
    },
    Fact {
        name: "known",
        kind: Kind::List(NAMED),
        meaning: "Machines whose SSH host key is known to all users or to root; patterns are left \
            out",
        source: KNOWN_HOSTS,
        right: "root for the files of root",
    },
    Fact {
        name: "known_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Such machines; left out when not all files were read",
        source: KNOWN_HOSTS,
        right: "root for the files of root",
    },
    Fact {
        name: "known_hashed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines whose name is hashed, so that it cannot be told; left out when not all \
            files were read",
        source: KNOWN_HOSTS,
        right: "root for the files of root",
    },
    Fact {
        name: "link_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Machines on the same networks that answered; left out when IPv4 or IPv6 was not \
            seen",
        source: LINKS,
        right: "",
    },
    Fact {
        name: "links",
        kind: Kind::List(LINKED),
        meaning: "Machines on the same networks that answered when this host looked for them",
        source: LINKS,
        right: "",
    },
    Fact {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of this host itself, in lower case",
        source: "/proc/sys/kernel/hostname: proc_sys_kernel(5)",
        right: "",
    },
    Fact {
        name: "peer_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Single machines that may replicate a database of this host; left out when not \
            all settings were read",
        source: PEERS,
        right: "root or postgres",
    },
    Fact {
        name: "peers",
        kind: Kind::List(NAMED),
        meaning: "These machines; whole networks are left out",
        source: PEERS,
        right: "root or postgres",
    },
    Fact {
        name: "sender_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Machines for which a log of their own is kept here; left out when not all \
            folders were read",
        source: SENDERS,
        right: "right to list the folders",
    },
    Fact {
        name: "senders",
        kind: Kind::List(NAMED),
        meaning: "These machines; their names are what they called themselves, or how the log host \
            names their address",
        source: SENDERS,
        right: "right to list the folders",
    },
];

const NAME: Field = Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the machine, in lower case",
};
const ADDRESS: Field = Field {
    name: "address",
    kind: Kind::Text,
    meaning: "Address of the machine: RFC 5952 for IPv6",
};
const SOURCE: Field = Field {
    name: "source",
    kind: Kind::Text,
    meaning: "The file or folder that tells so",
};

const DEVICE: Field = Field {
    name: "device",
    kind: Kind::Text,
    meaning: "Network device",
};

const OWN: &[Field] = &[ADDRESS, DEVICE];
const NAMED: &[Field] = &[ADDRESS, NAME, SOURCE];
const HOSTS: &[Field] = &[ADDRESS, NAME];
const LINKED: &[Field] = &[
    ADDRESS,
    DEVICE,
    Field {
        name: "mac",
        kind: Kind::Text,
        meaning: "Its address on the link",
    },
];
