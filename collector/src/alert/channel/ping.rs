//! The dead-man signal: an address outside that is fetched as long as the collector works, and
//! that tells people when it is not any more.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use shared::time::Timestamp;

use super::super::DeliveryError;
use super::{Http, Trust, again};

/// How long one signal may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Whoever expects the signal.
#[derive(Debug)]
pub struct Ping {
    http: Http,
    url: Url,
}

impl Ping {
    /// The receiver at this address, for whom the authorities of this machine or those of a file
    /// vouch.
    ///
    /// # Errors
    ///
    /// What is wrong with the authorities, in words.
    pub fn open(url: &Url, authorities: Option<&Path>) -> Result<Self, String> {
        let trust = if url.scheme() == "http" {
            Trust::nobody()
        } else {
            Trust::new(authorities)?
        };
        Ok(Self {
            http: Http::new(&trust)?,
            url: url.clone(),
        })
    }

    /// Says that all works.
    ///
    /// # Errors
    ///
    /// As of a channel.
    pub async fn send(&self, now: Timestamp) -> Result<(), DeliveryError> {
        let request = self.http.get(self.url.clone());
        match tokio::time::timeout(LIMIT, self.http.send(request, now)).await {
            Ok(answered) => answered.map(drop),
            Err(_elapsed) => Err(again("there was no answer in 30 s".to_owned())),
        }
    }
}
