//! Tests of lists of other systems: what is read, and what is wrong and where.

use super::*;

#[track_caller]
fn refused(csv: &str, expected: &str) {
    let faults = read("cmdb.csv", csv.as_bytes()).unwrap_err();
    let found: Vec<_> = faults
        .iter()
        .map(|fault| format!("{}:{}: {}", fault.line, fault.column, fault.message))
        .collect();
    assert_eq!(found.join("\n"), expected, "{csv:?}");
}

#[test]
fn lists_as_other_systems_write_them() {
    let csv = "\u{feff}Host,owner,address,note\r\nWEB-1.Example.org.,ada,192.0.2.1,\"a, b\r\n\
               \"\"c\"\"\"\r\n\r\n192.0.2.9,,,\r\ndb_1,,2001:DB8::1,x";
    let listed = read("cmdb.csv", csv.as_bytes()).unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|one| {
            let address = one.address.map(|one| one.to_string()).unwrap_or_default();
            format!(
                "{} {} {address} {} {:?}",
                one.line, one.host, one.owner, one.note
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "2 web-1.example.org 192.0.2.1 ada \"a, b\\r\\n\\\"c\\\"\"",
            "5 192.0.2.9   \"\"",
            "6 db_1 2001:db8::1  \"x\"",
        ]
    );
    assert!(read("cmdb.csv", b"host\n").unwrap().is_empty());
}

#[test]
fn lists_that_are_wrong_say_where() {
    refused("", "1:1: the list is empty");
    refused("name\nweb-1\n", "1:1: unknown column `name`");
    refused(
        "host;owner\nweb-1;ada\n",
        "1:1: unknown column `host;owner`",
    );
    refused("owner\nada\n", "1:1: there is no column `host`");
    refused("host,Host\na,b\n", "1:6: column `host` stands here twice");
    refused(
        "host,owner\nweb-1\nweb-2,ada,x\n",
        "2:1: 1 fields where the heading has 2\n3:1: 3 fields where the heading has 2",
    );
    refused(
        "host,address\nweb 1,\nweb-2,192.0.2.256\n,\n",
        "2:1: `web 1` is no name of a host\n3:7: `192.0.2.256` is no address\n\
         4:1: `` is no name of a host",
    );
    refused(
        "host\nweb-1\nweb-2\nWEB-1\n",
        "4:1: `web-1` stands already in line 2",
    );
    refused(
        "host,note\nweb-1,\"open\nweb-2,x\nweb-3,y\n",
        "2:7: a double quote that is not closed",
    );
    refused(
        "host,note\nweb-1,\"a\"b\n",
        "2:10: something stands behind the closing double quote",
    );
    refused(
        "host,note\nweb-1,5\" disk\n",
        "2:8: a double quote inside a field",
    );
    refused("host,note\nweb-1,a\u{7}\n", "2:7: a control character");
    let long = format!("host,note\nweb-1,{}\n", "a".repeat(1025));
    refused(&long, "2:7: 1025 bytes are more than a field may have");
    let faults = read("cmdb.csv", b"host\n\xff\n").unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (2, 1));
    let large = vec![b'a'; limits::DOCUMENT_BYTES_MAX + 1];
    assert!(
        read("cmdb.csv", &large).unwrap_err()[0]
            .hint
            .contains("8 MiB")
    );
    let many = "host\n".to_owned() + &"!\n".repeat(100);
    assert_eq!(read("cmdb.csv", many.as_bytes()).unwrap_err().len(), 20);
}
