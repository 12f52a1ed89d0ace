//! What an alert is made of.

use serde_json::{Map, Value};

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
    /// The events of a sequence, in order: a building block for each and a shell over them.
    Group(Vec<Document>),
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
            Self::Group(documents) => documents,
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
