//! evident-agent: gathers signed evidence on a host. Alone reads the clocks, prints and exits.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::attest::Program;
use agent::command::{Cli, Command, Format};
use agent::config::{Config, ConfigError, LogFormat, LogLevel, LogSettings, check_url};
use agent::host::Host;
use agent::host::machine::Machine;
use agent::identity::{Enrolling, Identity, IdentityError, Token, enrol};
use agent::run::standing::Standing;
use agent::run::{Agent, Lookers, RunError, Surroundings, probes, show};
use agent::schedule::Clock;
use agent::spool::{Spool, SpoolError};
use clap::{CommandFactory as _, Parser as _};
use sha2::Digest as _;
use shared::cause;
use shared::decision::HostClaims;
use shared::durable::SegmentError;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

/// How long the agent may take to bring its last record when it is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a command could not be done.
struct Failed {
    what: String,
    hint: Option<String>,
    code: u8,
}

impl Failed {
    fn new(error: &(dyn std::error::Error + 'static), hint: Option<String>) -> Self {
        let what = cause::chain(error);
        Self {
            what,
            hint,
            code: 2,
        }
    }

    fn said(what: &str, hint: &str) -> Self {
        Self {
            what: what.to_owned(),
            hint: Some(hint.to_owned()),
            code: 2,
        }
    }
}

impl From<RunError> for Failed {
    fn from(error: RunError) -> Self {
        Self::new(&error, error.hint())
    }
}

impl From<IdentityError> for Failed {
    fn from(error: IdentityError) -> Self {
        Self::new(&error, error.hint())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::new(&error, None)
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Self::new(&error, None)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match done(cli) {
        Ok(code) => code,
        Err(failed) => {
            let hint = failed.hint.map(|hint| format!("hint: {hint}\n"));
            let text = format!("error: {}\n{}", failed.what, hint.unwrap_or_default());
            // Nobody is left to be told when standard error is closed.
            drop(io::stderr().write_all(text.as_bytes()));
            ExitCode::from(failed.code)
        }
    }
}

fn done(cli: Cli) -> Result<ExitCode, Failed> {
    let path = cli.config.as_deref();
    match cli.command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "evident-agent", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            print(&String::from_utf8_lossy(&text))
        }
        Command::Probes { format } => {
            let all = agent::probe::PROBES;
            match format {
                Format::Table => print(&show::probes_table(all)),
                Format::Json => print(&(show::probes_json(all)? + "\n")),
            }
        }
        Command::CheckConfig => {
            let _settings = settings(path)?;
            print("the settings are right\n")
        }
        Command::Status { format } => status(&settings(path)?, format),
        Command::Enrol {
            collector,
            token,
            name,
            again,
        } => enrol_host(&settings(path)?, (collector, &token, name, again)),
        Command::Once {
            format,
            root,
            probe,
        } => once(&settings(path)?, format, root.as_deref(), &probe),
        Command::Run => daemon(&settings(path)?),
    }
}

/// Reads the settings and begins to log as they say.
fn settings(path: Option<&Path>) -> Result<Config, Failed> {
    let config = Config::load(path).map_err(|error| Failed {
        code: if matches!(error, ConfigError::Setting { .. }) {
            1
        } else {
            2
        },
        ..Failed::new(&error, None)
    })?;
    log_to_stderr(&config.settings.log);
    Ok(config)
}

fn print(text: &str) -> Result<ExitCode, Failed> {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough, such as head(1), is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

fn log_to_stderr(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_max_level(level)
        .with_target(false);
    match settings.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// The clocks of this machine.
struct Clocks;

impl Clock for Clocks {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn wall(&self) -> Timestamp {
        Timestamp::from_system(std::time::SystemTime::now())
    }

    fn since_boot_ms(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
        seconds.saturating_mul(1000).saturating_add(millis)
    }
}

fn boot_id() -> Result<String, Failed> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(shared::durable::read_text(path, 64)?.trim().to_owned())
}

/// This program: its name, version and the digest of its file.
fn program(config: &Config) -> Result<Program, Failed> {
    let mut file = std::fs::File::open("/proc/self/exe")?;
    let (mut hash, mut chunk) = (sha2::Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let length = file.read(&mut chunk)?;
        match chunk.get(..length) {
            Some(read) if 0 < length => hash.update(read),
            Some(_) | None => break,
        }
    }
    Ok(Program {
        name: concat!("evident-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
        binary: Digest(hash.finalize().into()),
        config: config.digest,
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
}

fn machine(root: &Path) -> Result<Arc<dyn Host>, Failed> {
    match Machine::open(root) {
        Ok(machine) => Ok(Arc::new(machine)),
        Err(error) => Err(Failed::new(&error, None)),
    }
}

fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().to_ascii_lowercase()
}

fn claims(host: &dyn Host) -> HostClaims {
    let uname = rustix::system::uname();
    let release = host.read("/etc/os-release", 64 * 1024).unwrap_or_default();
    let release = String::from_utf8_lossy(&release).into_owned();
    let system = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("unknown", |name| name.trim_matches('"'));
    HostClaims {
        name: host_name(),
        system: system.chars().take(128).collect(),
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
    }
}

fn no_token(error: &(dyn std::error::Error + 'static)) -> Failed {
    let hint = "copy it whole, as `evident-collector enrol-token` printed it";
    Failed::new(error, Some(hint.to_owned()))
}

fn enrol_host(
    config: &Config,
    (collector, token, name, again): (Option<String>, &str, Option<String>, bool),
) -> Result<ExitCode, Failed> {
    let url = collector.or_else(|| config.settings.collector.url.clone());
    let url = url.ok_or_else(|| {
        Failed::said(
            "no collector is given",
            "--collector https://c.example:8443",
        )
    })?;
    check_url(&url).map_err(|what| {
        let hint = "write it as https://collector.example.org:8443";
        Failed::said(&format!("`{url}` is {what}"), hint)
    })?;
    let token = if token == "-" {
        Token::read(io::stdin()).map_err(|error| no_token(&error))?
    } else {
        token
            .parse()
            .map_err(|error: agent::identity::TokenError| no_token(&error))?
    };
    let agent: AgentId =
        name.unwrap_or_else(host_name)
            .parse()
            .map_err(|error: shared::id::IdError| {
                Failed::new(&error, Some("choose one with --name".to_owned()))
            })?;
    let host = claims(machine(&config.settings.host.root)?.as_ref());
    let enrolling = Enrolling {
        dir: &config.settings.state.dir,
        url: &url,
        token: &token,
        agent,
        host,
        again,
        now: Clocks.wall(),
    };
    let identity = runtime()?
        .block_on(enrol(&enrolling, Spool::create))
        .map_err(|error| Failed::new(&error, error.hint()))?
        .map_err(|error| Failed::new(&error, Some(error.hint().to_owned())))?;
    print(&format!(
        "enrolled as {} generation {}; the ledger holds record {}\ncertificate until {}; start \
         the agent (again): evident-agent run\n",
        identity.agent(),
        identity.generation(),
        identity.record(),
        identity.certificate_end(),
    ))
}

fn status(config: &Config, format: Format) -> Result<ExitCode, Failed> {
    let Some(standing) = Standing::read(&config.settings.state.dir, Clocks.wall())? else {
        let dir = config.settings.state.dir.display();
        return Err(Failed {
            code: 1,
            ..Failed::said(
                &format!("this host is not enrolled: nothing in {dir}"),
                "evident-agent enrol --collector URL --token TOKEN",
            )
        });
    };
    let _printed = match format {
        Format::Table => print(&standing.table())?,
        Format::Json => print(&(serde_json::to_string(&standing)? + "\n"))?,
    };
    Ok(ExitCode::from(u8::from(!standing.wrong.is_empty())))
}

fn once(
    config: &Config,
    format: Format,
    root: Option<&Path>,
    names: &[String],
) -> Result<ExitCode, Failed> {
    let chosen = probes(names).map_err(|unknown| {
        let hint = "`evident-agent probes` lists them";
        Failed::said(&format!("there is no probe `{unknown}`"), hint)
    })?;
    let host = machine(root.unwrap_or(&config.settings.host.root))?;
    let now = Clocks.wall();
    let (runtime, mut lookers) = (runtime()?, Lookers::default());
    let identity = match root {
        Some(_) => None,
        None => identity_if_permitted(&config.settings.state.dir)?,
    };
    let own = identity.as_ref().map(Identity::own);
    let known = (&config.settings.probe, own.as_ref());
    let observed = lookers.look_through(&chosen, &host, known, &Clocks);
    let observed = runtime.block_on(observed);
    let name = identity
        .as_ref()
        .map_or_else(host_name, |identity| identity.agent().to_string());
    let _printed = match format {
        Format::Table => print(&show::observations_table(&observed))?,
        Format::Json => print(&(show::observations_json(&name, now, &observed)? + "\n"))?,
    };
    let Some(identity) = identity else {
        return Ok(ExitCode::SUCCESS);
    };
    let (program, boot) = (program(config)?, boot_id()?);
    let around = Surroundings {
        settings: &config.settings,
        program: &program,
        host: &host,
        clock: &Clocks,
        boot: &boot,
    };
    let mut agent = match Agent::open(around, identity) {
        Err(RunError::Spool(SpoolError::Segments(SegmentError::Locked(_)))) => {
            tracing::warn!("evident-agent runs on this host and signs; this run was not signed");
            return Ok(ExitCode::SUCCESS);
        }
        agent => agent?,
    };
    let shipped = runtime.block_on(agent.once(&observed, now))?;
    match shipped {
        Ok(records) => {
            tracing::info!(records, "records have receipts");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(Failed::new(&error, error.hint())),
    }
}

/// The identity of this host, none where only root may see it.
fn identity_if_permitted(dir: &Path) -> Result<Option<Identity>, Failed> {
    match Identity::load(dir) {
        Err(IdentityError::Machine { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            tracing::warn!("without the right to read the keys this run is not signed");
            Ok(None)
        }
        identity => Ok(identity?),
    }
}

fn daemon(config: &Config) -> Result<ExitCode, Failed> {
    let Some(identity) = Identity::load(&config.settings.state.dir)? else {
        return Err(Failed::said(
            "this host is not enrolled",
            "evident-agent enrol --collector URL --token TOKEN; `evident-agent once` needs none",
        ));
    };
    let host = machine(&config.settings.host.root)?;
    let (program, boot) = (program(config)?, boot_id()?);
    let around = Surroundings {
        settings: &config.settings,
        program: &program,
        host: &host,
        clock: &Clocks,
        boot: &boot,
    };
    runtime()?.block_on(work(Agent::open(around, identity)?))
}

async fn work(mut agent: Agent<'_>) -> Result<ExitCode, Failed> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    agent.start()?;
    tracing::info!("evident-agent works");
    loop {
        // A visit can be left anywhere: what it has proven is noted before the next question.
        let turn = async {
            let sleep_ms = agent.turn().await?;
            tokio::time::sleep(Duration::from_millis(sleep_ms)).await;
            Ok::<(), RunError>(())
        };
        tokio::select! {
            done = turn => done?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    agent.stop()?;
    if tokio::time::timeout(FAREWELL, agent.visit()).await.is_err() {
        tracing::info!("the last record is brought at the next start");
    }
    tracing::info!("evident-agent stops");
    Ok(ExitCode::SUCCESS)
}
