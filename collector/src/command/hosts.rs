//! Commands about hosts: `enrol-token`, `revoke`.

use collector::fleet::token;
use collector::serve::operator;
use serde::Deserialize;
use shared::decision::{Decided, Revoked};
use shared::id::AgentId;

use super::client::Client;
use super::person::Signer;
use super::{Around, Folder, Shown};

const HOUR_MS: i64 = 3_600_000;

/// A new token.
#[derive(Debug, clap::Args)]
pub(crate) struct EnrolToken {
    #[command(flatten)]
    folder: Folder,
    /// Name of the host; without it the host that comes first may use the token
    #[arg(long, value_name = "NAME")]
    host: Option<AgentId>,
}

impl EnrolToken {
    /// Makes a one-time token.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let Self { folder, host } = self;
        let (config, authority) = super::load(&folder.dir)?;
        let hours = i64::from(config.fleet.token_hours);
        let now = around.now();
        let until = now.plus_ms(hours.saturating_mul(HOUR_MS));
        let by = operator::caller(rustix::process::getuid().as_raw()).to_string();
        let who = host
            .as_ref()
            .map_or_else(|| "any one host".to_owned(), |host| format!("`{host}`"));
        let secret = token::make(&folder.dir, (host, &by), now, until)?;
        let token = format!("evd1_{secret}_{}", authority.fingerprint());
        let (name, port) = (&config.name, config.intake.listen.port());
        let advice = format!(
            "token for {who}, for one use until {until}; on the host:\n  \
             evident-agent enrol --collector https://{name}:{port} --token {token}"
        );
        Ok(Shown {
            text: token,
            advice: Some(advice),
            held: true,
        })
    }
}

/// The end of an enrolment.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    folder: Folder,
    /// Name of the host
    #[arg(long, value_name = "NAME")]
    host: AgentId,
    /// Why; it stands in the ledger
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    signer: Signer,
}

#[derive(Deserialize)]
struct HostAnswer {
    generation: u64,
}

impl Revoke {
    /// Ends the enrolment of a host.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let Self {
            folder,
            host,
            reason,
            signer,
        } = self;
        let client = Client::new(&folder.dir);
        let HostAnswer { generation } = client.get(&format!("/v1/hosts/{host}"))?;
        let pen = signer.pen_at_hand(around, &client)?;
        let revoked = Revoked {
            agent: host.clone(),
            generation,
            reason,
        };
        let done = client.decide(pen.as_ref(), Decided::Revoke(revoked), &[])?;
        let entry = done.entry;
        Ok(format!("enrolment {generation} of `{host}` ended; entry {entry}").into())
    }
}
