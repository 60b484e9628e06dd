//! Settings of Fluent Bit, Vector and the OpenTelemetry Collector: see the README beside them.

use super::*;

/// Compares targets in short: protocol, host, port, authentication, queue, retries.
#[track_caller]
fn check(daemon: &'static str, path: &str, text: &str, expected: &[&str]) {
    let (targets, unknown) = targets(daemon, path, text);
    let targets = targets.iter().map(|target| {
        assert_eq!((target.daemon, target.file.as_str()), (daemon, path));
        let port = target.port.unwrap_or_default();
        let way = target.authentication.unwrap_or("-");
        let authority = target.authority.as_deref().unwrap_or("-");
        let queue = target.queue.unwrap_or("-");
        let retries = target
            .retries
            .map_or("-".to_owned(), |number| number.to_string());
        let (protocol, host) = (target.protocol, &target.host);
        format!("{protocol} {host} {port} {way} {authority} {queue} {retries}")
    });
    let unknown = unknown.iter().map(ToString::to_string);
    let found: Vec<String> = targets.chain(unknown).collect();
    assert_eq!(found, expected, "{text}");
}

const CONF: &str = "/etc/fluent-bit/fluent-bit.conf";
const FLUENT_YAML: &str = "/etc/fluent-bit/fluent-bit.yaml";
const VECTOR: &str = "/etc/vector/vector.yaml";
const OTEL: &str = "/etc/otelcol/config.yaml";

/// docs.fluentbit.io: administration, configuring, classic mode; outputs; transport security.
#[test]
fn fluent_bit() {
    let text = include_str!("../../../../../../tests/hosts/forwarders/fluent-bit.conf");
    let target = "tls log.example.org 24284 chain /etc/ssl/ca.pem disk -1";
    check("fluent-bit", CONF, text, &[target]);
    let output = |more: &str| format!("[INPUT]\n name cpu\n[OUTPUT]\n {more}\n");
    for (more, expected) in [
        (
            "name syslog\n host 192.0.2.1",
            "udp 192.0.2.1 514 - - memory -",
        ),
        ("name syslog\n host a\n mode tcp", "tcp a 514 - - memory -"),
        (
            "name syslog\n host a\n mode tls\n port 6514",
            "tls a 6514 chain - memory -",
        ),
        (
            "name http\n host a\n tls on\n tls.verify off",
            "https a 80 none - memory -",
        ),
        (
            "name es\n host a\n tls on\n tls.verify_hostname on",
            "https a 9200 name - memory -",
        ),
        (
            "name loki\n host a\n retry_limit 5",
            "http a 3100 - - memory 5",
        ),
        ("name forward", "tcp 127.0.0.1 24224 - - memory -"),
    ] {
        check("fluent-bit", CONF, &output(more), &[expected]);
    }
    let unknown = format!("{CONF}: unsupported (output `kafka`)");
    check("fluent-bit", CONF, &output("name kafka"), &[&unknown]);
    let unknown = format!("{CONF}: unsupported (output `http`)");
    check(
        "fluent-bit",
        CONF,
        &output("name http\n host ${HOST}"),
        &[&unknown],
    );
    let unknown = format!("{CONF}: unsupported (@INCLUDE)");
    check("fluent-bit", CONF, "@INCLUDE outputs.conf\n", &[&unknown]);
    let text = include_str!("../../../../../../tests/hosts/forwarders/fluent-bit.yaml");
    let target = "tls log.example.org 24224 chain - disk -1";
    check("fluent-bit", FLUENT_YAML, text, &[target]);
}

/// vector.dev: reference, configuration, sinks.
#[test]
fn vector() {
    let text = include_str!("../../../../../../tests/hosts/forwarders/vector.yaml");
    let target = "tls log.example.org 6514 name /etc/ssl/ca.pem disk -";
    check("vector", VECTOR, text, &[target]);
    let toml = "[sinks.out]\ntype = \"http\"\ninputs = [\"journal\"]\n\
                uri = \"https://log.example.org/in\"\nrequest.retry_attempts = 9\n\
                tls.verify_certificate = false\n";
    let target = "https log.example.org 0 none - memory 9";
    check("vector", "/etc/vector/vector.toml", toml, &[target]);
    let sink = |text: &str| format!("sinks:\n  out:\n{text}");
    let plain = sink("    type: vector\n    address: a:6000\n");
    check("vector", VECTOR, &plain, &["tcp a 6000 - - memory -"]);
    let search = sink(
        "    type: elasticsearch\n    endpoints: [\"https://a:9200\"]\n    tls:\n      \
         verify_hostname: false\n",
    );
    check(
        "vector",
        VECTOR,
        &search,
        &["https a 9200 chain - memory -"],
    );
    let kafka = format!("{VECTOR}: unsupported (output `kafka`)");
    check("vector", VECTOR, &sink("    type: kafka\n"), &[&kafka]);
    let broken = format!("{VECTOR}: unsupported (line 1)");
    check("vector", VECTOR, "sinks: &x\n", &[&broken]);
    let broken = "/etc/vector/vector.toml: unsupported (no TOML)";
    check("vector", "/etc/vector/vector.toml", "[sinks", &[broken]);
}

/// opentelemetry.io: collector, configuration; exporterhelper and configtls.
#[test]
fn opentelemetry_collector() {
    let text = include_str!("../../../../../../tests/hosts/forwarders/otelcol.yaml");
    let target = "https log.example.org 4317 name /etc/ssl/ca.pem disk -1";
    check("otelcol", OTEL, text, &[target]);
    let made = |exporter: &str| {
        let name = exporter.split(':').next().unwrap();
        format!(
            "exporters:\n  {exporter}\nservice:\n  pipelines:\n    logs/a:\n      \
             exporters: [{name}]\n"
        )
    };
    for (exporter, expected) in [
        (
            "otlp:\n    endpoint: a:4317\n    tls:\n      insecure: true",
            "http a 4317 - - memory -",
        ),
        (
            "otlphttp:\n    endpoint: https://a:4318\n    tls:\n      insecure_skip_verify: true",
            "https a 4318 none - memory -",
        ),
        (
            "syslog:\n    endpoint: a\n    port: 6514\n    retry_on_failure:\n      enabled: false",
            "tls a 6514 name - memory 0",
        ),
        (
            "syslog:\n    endpoint: a\n    network: udp\n    sending_queue:\n      enabled: false",
            "udp a 514 - - direct -",
        ),
    ] {
        check("otelcol", OTEL, &made(exporter), &[expected]);
    }
    let unknown = format!("{OTEL}: unsupported (output `otlp`)");
    check(
        "otelcol",
        OTEL,
        &made("otlp:\n    endpoint: ${env:HOST}"),
        &[&unknown],
    );
    check("otelcol", OTEL, &made("otlp:\n    x: 1"), &[&unknown]);
    let nothing = format!("{OTEL}: unsupported (no pipelines)");
    check("otelcol", OTEL, "exporters:\n", &[&nothing]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "([a-z]|: |\n|  |\\[|OUTPUT|name |sinks|service|logs|\\PC)*") {
        for (daemon, paths) in PATHS {
            for path in paths {
                let _found = targets(daemon, path, &text);
            }
        }
    }
}
