//! [`Connector`]: something that takes messages to people.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::Message;

/// What a target answered to a message it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How it names the message: later messages of the conversation refer to it.
    pub reference: Option<String>,
    /// What is to be said about it, such as a template that failed.
    pub note: Option<String>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The target could not be reached, is busy, or does not accept who we are: any message would
    /// fail, and the same one may succeed later.
    #[error("{reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// When the target wants to be asked again.
        after: Option<Duration>,
    },
    /// The target does not want this message, now or later.
    #[error("{reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

impl SendError {
    /// Any message would fail now.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), after: None }
    }

    /// This message will never be taken.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}

/// Something that takes messages to people. `send` may be called again with the same
/// [`Message::key`] when it is not known whether the first call reached its target.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Sends a message; returns when the target acknowledged it.
    async fn send(&self, message: &Message) -> Result<Receipt, SendError>;

    /// Looks whether a message could be sent, without sending one that people see; what was seen,
    /// in words.
    async fn check(&self) -> Result<String, SendError>;

    /// Messages under way at once, unless the configuration says otherwise.
    fn concurrency(&self) -> u32 {
        4
    }
}
