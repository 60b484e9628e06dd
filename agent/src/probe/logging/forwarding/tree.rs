//! Targets in settings that are a tree: Fluent Bit, Vector and the OpenTelemetry Collector.
//!
//! Written from their documentation: docs.fluentbit.io (outputs), vector.dev (sinks, TLS, buffers),
//! opentelemetry.io and the configuration of `configtls` and `exporterhelper`. What stands for a
//! value of the environment is not known, and refused.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::observation::Status;

use super::{Target, host_port, url_target, yaml};
use crate::host::Unseen;

/// Settings of Fluent Bit that are a tree.
const FLUENT_BIT_TREE: &str = "/etc/fluent-bit/fluent-bit.yaml";
/// Settings of Vector that are no YAML.
const VECTOR_TOML: &str = "/etc/vector/vector.toml";

/// Daemons, and where their packages look for settings.
pub(super) const PATHS: [(&str, &[&str]); 4] = [
    (
        "fluent-bit",
        &["/etc/fluent-bit/fluent-bit.conf", FLUENT_BIT_TREE],
    ),
    ("otelcol", &["/etc/otelcol/config.yaml"]),
    ("otelcol-contrib", &["/etc/otelcol-contrib/config.yaml"]),
    ("vector", &["/etc/vector/vector.yaml", VECTOR_TOML]),
];

/// Outputs that keep entries on this host, or send none.
const LOCAL: [&str; 15] = [
    "blackhole",
    "console",
    "counter",
    "debug",
    "exit",
    "file",
    "flowcounter",
    "logging",
    "nop",
    "null",
    "prometheus_exporter",
    "prometheus_remote_write",
    "prometheusremotewrite",
    "stdout",
    "unit_test_sink",
];

/// The settings of one output, with the names of parts joined by dots, in lower case.
struct Output {
    kind: String,
    values: BTreeMap<String, String>,
}

/// What was found in one file: targets, and what is not understood.
type Found = (Vec<Target>, Vec<Unseen>);

/// The targets in the settings of a daemon.
pub(super) fn targets(daemon: &'static str, path: &str, text: &str) -> Found {
    let outputs = match daemon {
        "fluent-bit" if path != FLUENT_BIT_TREE => fluent_bit_lines(text),
        _ => tree(path, text).and_then(|tree| match daemon {
            "fluent-bit" => fluent_bit_tree(&tree),
            "vector" => Ok(vector(&tree)),
            _ => otel(&tree),
        }),
    };
    let outputs = match outputs {
        Ok(outputs) => outputs,
        Err(why) => {
            let unseen = Unseen::new(path, Status::Unsupported, Some(&why));
            return (Vec::new(), vec![unseen]);
        }
    };
    let (mut targets, mut unknown) = (Vec::new(), Vec::new());
    for output in outputs
        .iter()
        .filter(|output| !LOCAL.contains(&output.kind.as_str()))
    {
        if let Some(target) = target(daemon, output, path) {
            targets.push(target);
        } else {
            let why = format!("output `{}`", output.kind);
            unknown.push(Unseen::new(path, Status::Unsupported, Some(&why)));
        }
    }
    (targets, unknown)
}

fn tree(path: &str, text: &str) -> Result<Value, String> {
    if path == VECTOR_TOML {
        toml::from_str(text).map_err(|_error| "no TOML".to_owned())
    } else {
        yaml::read(text).map_err(|line| format!("line {line}"))
    }
}

/// `[OUTPUT]` sections with a name and a value on each line.
fn fluent_bit_lines(text: &str) -> Result<Vec<Output>, String> {
    let mut sections: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.to_ascii_lowercase().starts_with("@include") {
            return Err("@INCLUDE".to_owned());
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_ascii_lowercase();
            sections.push((name, BTreeMap::new()));
        } else if let Some((_, values)) = sections.last_mut() {
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let _twice = values.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let inputs = sections.iter().filter(|(name, _)| name == "input");
    let disk = on_disk(inputs.map(|(_, values)| values));
    let outputs = sections.into_iter().filter(|(name, _)| name == "output");
    Ok(outputs
        .map(|(_, values)| fluent_bit(values, disk))
        .collect())
}

/// `pipeline: outputs:` in YAML.
fn fluent_bit_tree(tree: &Value) -> Result<Vec<Output>, String> {
    if tree.get("includes").is_some() {
        return Err("includes".to_owned());
    }
    let part = |name: &str| {
        let list = tree
            .pointer(&format!("/pipeline/{name}"))
            .and_then(Value::as_array);
        let maps = list.into_iter().flatten().map(flat);
        maps.collect::<Vec<_>>()
    };
    let disk = on_disk(part("inputs").iter());
    Ok(part("outputs")
        .into_iter()
        .map(|values| fluent_bit(values, disk))
        .collect())
}

fn on_disk<'a>(mut inputs: impl Iterator<Item = &'a BTreeMap<String, String>>) -> bool {
    inputs.any(|input| {
        input
            .get("storage.type")
            .is_some_and(|kind| kind == "filesystem")
    })
}

fn fluent_bit(mut values: BTreeMap<String, String>, disk: bool) -> Output {
    let kind = values.get("name").map(|name| name.to_ascii_lowercase());
    let queue = if disk { "disk" } else { "memory" };
    let _none = values.insert("evident.queue".to_owned(), queue.to_owned());
    Output {
        kind: kind.unwrap_or_default(),
        values,
    }
}

/// `sinks:` of Vector.
fn vector(tree: &Value) -> Vec<Output> {
    let sinks = tree.get("sinks").and_then(Value::as_object);
    let outputs = sinks.into_iter().flatten().map(|(_, sink)| {
        let mut values = flat(sink);
        let disk = values.get("buffer.type").is_some_and(|kind| kind == "disk");
        let queue = if disk { "disk" } else { "memory" };
        let _none = values.insert("evident.queue".to_owned(), queue.to_owned());
        Output {
            kind: values.get("type").cloned().unwrap_or_default(),
            values,
        }
    });
    outputs.collect()
}

/// The exporters of the pipelines for logs.
fn otel(tree: &Value) -> Result<Vec<Output>, String> {
    let pipelines = tree
        .pointer("/service/pipelines")
        .and_then(Value::as_object);
    let pipelines = pipelines.ok_or("no pipelines")?.iter();
    let logs = pipelines.filter(|(name, _)| name.split('/').next() == Some("logs"));
    let mut outputs = BTreeMap::new();
    for (_, pipeline) in logs {
        let names = pipeline.get("exporters").and_then(Value::as_array);
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            let exporter = tree.get("exporters").and_then(|all| all.get(name));
            let mut values = exporter.map(flat).unwrap_or_default();
            let is = |name: &str, wanted| values.get(name).is_some_and(|value| value == wanted);
            let queue = if is("sending_queue.enabled", "false") {
                "direct"
            } else if values.contains_key("sending_queue.storage") {
                "disk"
            } else {
                "memory"
            };
            let _none = values.insert("evident.queue".to_owned(), queue.to_owned());
            let kind = name.split('/').next().unwrap_or_default().to_owned();
            let _same = outputs.insert(name.to_owned(), Output { kind, values });
        }
    }
    Ok(outputs.into_values().collect())
}

/// A map without its inner maps: `tls: ca_file:` becomes `tls.ca_file`. Of a list the first value
/// counts.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    flatten(value, String::new(), &mut values);
    values
}

fn flatten(value: &Value, name: String, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if name.is_empty() { "" } else { "." };
                let inner = format!("{name}{dot}{}", key.to_ascii_lowercase());
                flatten(value, inner, values);
            }
        }
        Value::Array(list) => {
            if let Some(first) = list.first() {
                flatten(first, name, values);
            }
        }
        Value::String(text) => drop(values.insert(name, text.clone())),
        Value::Bool(_) | Value::Number(_) => drop(values.insert(name, value.to_string())),
        Value::Null => {}
    }
}

impl Output {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.value(name))
    }

    fn is(&self, name: &str, on: bool) -> bool {
        let words: [&str; 4] = if on {
            ["true", "on", "yes", "1"]
        } else {
            ["false", "off", "no", "0"]
        };
        self.value(name)
            .is_some_and(|value| words.contains(&value.to_ascii_lowercase().as_str()))
    }
}

/// The target of an output; `None` when it is not understood.
fn target(daemon: &'static str, output: &Output, path: &str) -> Option<Target> {
    if output.values.values().any(|value| value.contains("${")) {
        return None;
    }
    let target = match (daemon, output.kind.as_str()) {
        ("fluent-bit", kind) => fluent_bit_target(output, kind),
        ("vector", "http") => url_target(daemon, output.value("uri")?, path),
        (
            "vector",
            "elasticsearch" | "loki" | "opentelemetry" | "splunk_hec" | "splunk_hec_logs",
        ) => {
            let url = output.any(&["endpoints", "endpoint", "protocol.uri"])?;
            url_target(daemon, url, path)
        }
        ("vector", "vector" | "socket" | "papertrail") => vector_target(output),
        ("otelcol" | "otelcol-contrib", "syslog") => syslog_exporter(output),
        ("otelcol" | "otelcol-contrib", "otlp") => {
            let place = output.value("endpoint")?;
            let secure = !output.is("tls.insecure", true);
            let scheme = if secure { "https" } else { "http" };
            let place = place.strip_prefix("dns:///").unwrap_or(place);
            if place.contains("://") {
                url_target(daemon, place, path)
            } else {
                url_target(daemon, &format!("{scheme}://{place}"), path)
            }
        }
        (
            "otelcol" | "otelcol-contrib",
            "otlphttp" | "loki" | "elasticsearch" | "opensearch" | "splunk_hec",
        ) => {
            let names = ["logs_endpoint", "endpoint", "endpoints", "http.endpoint"];
            url_target(daemon, output.any(&names)?, path)
        }
        _ => None,
    }?;
    let authentication = target.encrypted().then(|| authentication(daemon, output));
    Some(Target {
        daemon,
        file: path.to_owned(),
        authentication,
        authority: output
            .any(&["tls.ca_file", "tls.ca_path", "http.tls.ca_file"])
            .map(str::to_owned),
        queue: match output.value("evident.queue") {
            Some("disk") => Some("disk"),
            Some("direct") => Some("direct"),
            Some(_) | None => Some("memory"),
        },
        retries: retries(output),
        ..target
    })
}

/// All three ask for a certificate of a known authority unless told not to; Fluent Bit asks for the
/// name in it only when told to.
fn authentication(daemon: &str, output: &Output) -> &'static str {
    let off = ["tls.verify", "tls.verify_certificate"]
        .iter()
        .any(|name| output.is(name, false))
        || output.is("tls.insecure_skip_verify", true)
        || output.is("http.tls.insecure_skip_verify", true);
    let name = if daemon == "fluent-bit" {
        output.is("tls.verify_hostname", true)
    } else {
        !output.is("tls.verify_hostname", false)
    };
    match (off, name) {
        (true, _) => "none",
        (false, false) => "chain",
        (false, true) => "name",
    }
}

fn retries(output: &Output) -> Option<i64> {
    if output.is("retry_on_failure.enabled", false) {
        return Some(0);
    }
    match output.any(&[
        "retry_limit",
        "request.retry_attempts",
        "retry_on_failure.max_elapsed_time",
    ])? {
        "no_limits" | "False" | "false" | "0s" => Some(-1),
        number => number.parse().ok(),
    }
}

/// Plugins of Fluent Bit, with the port that each has built in.
fn fluent_bit_target(output: &Output, kind: &str) -> Option<Target> {
    let (built_in, over_http) = match kind {
        "forward" => (24_224, false),
        "syslog" => (514, false),
        "tcp" => (5170, false),
        "gelf" => (12_201, false),
        "http" | "opentelemetry" => (80, true),
        "es" | "opensearch" => (9200, true),
        "loki" => (3100, true),
        "splunk" => (8088, true),
        _ => return None,
    };
    let tls = output.is("tls", true);
    let protocol = match (over_http, output.value("mode").unwrap_or("udp"), tls) {
        (true, _, true) => "https",
        (true, _, false) => "http",
        (false, "udp", _) if matches!(kind, "syslog" | "gelf") => "udp",
        (false, "tls", _) | (false, _, true) => "tls",
        (false, _, false) => "tcp",
    };
    let port = output
        .value("port")
        .map_or(Some(built_in), |port| port.parse().ok());
    let (host, _) = host_port(output.value("host").unwrap_or("127.0.0.1"))?;
    Some(Target {
        host,
        port: Some(port?),
        protocol,
        ..Target::default()
    })
}

fn vector_target(output: &Output) -> Option<Target> {
    let tls = output.is("tls.enabled", true);
    let protocol = match (output.value("mode"), tls) {
        (Some("udp"), _) => "udp",
        (Some("tcp") | None, true) => "tls",
        (Some("tcp") | None, false) => "tcp",
        (Some(_), _) => return None,
    };
    let place = output.any(&["address", "endpoint"])?;
    let (_, place) = place.split_once("://").unwrap_or(("", place));
    let (host, port) = host_port(place.trim_end_matches('/'))?;
    Some(Target {
        host,
        port,
        protocol,
        ..Target::default()
    })
}

/// The exporter `syslog`: a host, a port, TCP with TLS unless told otherwise.
fn syslog_exporter(output: &Output) -> Option<Target> {
    let protocol = match output.value("network").unwrap_or("tcp") {
        "tcp" if output.is("tls.insecure", true) => "tcp",
        "tcp" => "tls",
        "udp" => "udp",
        _ => return None,
    };
    let (host, _) = host_port(output.value("endpoint")?)?;
    let port = output
        .value("port")
        .map_or(Some(514), |port| port.parse().ok());
    Some(Target {
        host,
        port: Some(port?),
        protocol,
        ..Target::default()
    })
}

#[cfg(test)]
mod tests;
