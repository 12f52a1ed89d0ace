//! Who calls: users, role sessions and services.

use serde_json::{Value, json};

use super::{ACCOUNT, DAY};

/// A caller as its records show it.
#[derive(Clone)]
pub struct Actor {
    pub arn: String,
    pub identity: Value,
    pub address: String,
    pub agent: String,
    /// Whether its credentials come from a console session.
    pub console: bool,
}

/// An id in the form of AWS's, the same for the same name.
fn id(prefix: &str, name: &str) -> String {
    let seed = name.bytes().fold(7u64, |n, b| n.wrapping_mul(131).wrapping_add(u64::from(b)));
    format!("{prefix}{}", super::Random::new(seed).letters(16))
}

impl Actor {
    /// An IAM user with an access key.
    pub fn user(name: &str, address: &str, agent: &str) -> Self {
        let arn = format!("arn:aws:iam::{ACCOUNT}:user/{name}");
        let identity = json!({
            "type": "IAMUser",
            "principalId": id("AIDA", name),
            "arn": arn,
            "accountId": ACCOUNT,
            "accessKeyId": id("AKIA", name),
            "userName": name,
        });
        Self { arn, identity, address: address.to_owned(), agent: agent.to_owned(), console: false }
    }

    /// The same user in a console session.
    pub fn in_console(&self, mfa: bool, agent: &str) -> Self {
        let mut out = self.clone();
        let name = self.identity["userName"].as_str().unwrap_or_default();
        out.identity["accessKeyId"] = json!(id("ASIA", name));
        out.identity["sessionContext"] = json!({
            "attributes": {"creationDate": format!("{DAY}T02:31:40Z"), "mfaAuthenticated": mfa.to_string()},
        });
        agent.clone_into(&mut out.agent);
        out.console = true;
        out
    }

    /// The same user without an access key, as sign-in events have it.
    pub fn signing_in(&self, agent: &str) -> Self {
        let mut out = self.clone();
        if let Some(identity) = out.identity.as_object_mut() {
            identity.remove("accessKeyId");
        }
        agent.clone_into(&mut out.agent);
        out
    }

    /// A session of a role.
    pub fn role(role: &str, session: &str, address: &str, agent: &str) -> Self {
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}");
        let principal = id("AROA", role);
        let identity = json!({
            "type": "AssumedRole",
            "principalId": format!("{principal}:{session}"),
            "arn": arn,
            "accountId": ACCOUNT,
            "accessKeyId": id("ASIA", &format!("{role}/{session}")),
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": principal,
                    "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"),
                    "accountId": ACCOUNT,
                    "userName": role,
                },
                "attributes": {"creationDate": format!("{DAY}T00:00:07Z"), "mfaAuthenticated": "false"},
            },
        });
        Self { arn, identity, address: address.to_owned(), agent: agent.to_owned(), console: false }
    }

    /// A service of AWS.
    pub fn service(name: &str) -> Self {
        let host = format!("{name}.amazonaws.com");
        Self {
            arn: host.clone(),
            identity: json!({"type": "AWSService", "invokedBy": host}),
            address: host.clone(),
            agent: host,
            console: false,
        }
    }
}
