//! What an alert is made of.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::group::shared_source;
use crate::ecs::document::Document;

/// What an alert is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// One event (or, of a threshold, a document that stands for many), and the fields that the
    /// rule's type adds to its alert.
    Hit {
        /// The event.
        document: Document,
        /// Fields of the alert by dotted name.
        added: Map<String, Value>,
    },
    /// The events of a sequence: a building block for each and a shell over them.
    Group {
        /// The events, in order.
        documents: Vec<Document>,
        /// Fields of the shell by dotted name.
        added: Map<String, Value>,
    },
}

impl Evidence {
    /// One event, and nothing added.
    pub fn hit(document: Document) -> Self {
        Self::Hit { document, added: Map::new() }
    }

    /// The events it is made of.
    pub fn documents(&self) -> &[Document] {
        match self {
            Self::Hit { document, .. } => std::slice::from_ref(document),
            Self::Group { documents, .. } => documents,
        }
    }

    /// The events of a sequence.
    pub fn group(documents: Vec<Document>) -> Self {
        Self::Group { documents, added: Map::new() }
    }

    /// What the events have in common: the fields of the alert that counts.
    pub fn shared(&self) -> Cow<'_, Value> {
        match self {
            Self::Hit { document, .. } => Cow::Borrowed(&document.source),
            Self::Group { documents, .. } => Cow::Owned(shared_source(documents)),
        }
    }

    /// Adds fields to the alert that counts.
    pub fn add(&mut self, fields: Map<String, Value>) {
        match self {
            Self::Hit { added, .. } | Self::Group { added, .. } => added.extend(fields),
        }
    }

    /// Whether its document is no event, but stands for the many of a threshold.
    pub fn stands_for_many(&self) -> bool {
        matches!(self, Self::Hit { added, .. } if added.contains_key("kibana.alert.threshold_result"))
    }

    /// The events it is made of, to be completed.
    pub fn documents_mut(&mut self) -> &mut [Document] {
        match self {
            Self::Hit { document, .. } => std::slice::from_mut(document),
            Self::Group { documents, .. } => documents,
        }
    }

    /// The event, when there is nothing else to it: such a candidate can wait.
    pub fn plain(&self) -> Option<&Document> {
        match self {
            Self::Hit { document, added } if added.is_empty() => Some(document),
            _ => None,
        }
    }
}
