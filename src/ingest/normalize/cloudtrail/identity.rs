//! Who called: `userIdentity` as `user.*` and `aws.cloudtrail.user_identity.*`.

use std::borrow::Cow;

use super::super::Refusal;
use super::super::writer::EcsWriter;
use super::record::{Key, Record};
use super::time;
use crate::ingest::tape::{Kind, Value};

/// The members of `userIdentity`.
#[derive(Debug, Default)]
pub(super) struct Identity<'a> {
    /// The user's own name; a role session has none.
    pub(super) user_name: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    principal: Option<Value<'a>>,
    arn: Option<Value<'a>>,
    access_key: Option<Value<'a>>,
    invoked_by: Option<Value<'a>>,
    credential: Option<Value<'a>>,
    on_behalf_of: Option<Value<'a>>,
    in_scope_of: Option<Value<'a>>,
    mfa: Option<Value<'a>>,
    created: Option<Value<'a>>,
    role_delivery: Option<Value<'a>>,
    federation: Option<Value<'a>>,
    issuer: Option<Value<'a>>,
}

impl<'a> Identity<'a> {
    /// Finds the members.
    pub(super) fn read(record: &Record<'a>) -> Result<Self, Refusal> {
        let mut out = Self::default();
        let Some(identity) = record.get(Key::UserIdentity) else { return Ok(out) };
        for member in identity.children() {
            if member.is_empty() {
                continue;
            }
            let name = member.key();
            let nested = matches!(&*name, "sessionContext" | "onBehalfOf" | "inScopeOf");
            let container = matches!(member.kind(), Kind::Array | Kind::Object);
            let slot = match &*name {
                "type" => &mut out.kind,
                "userName" => &mut out.user_name,
                "principalId" => &mut out.principal,
                "arn" => &mut out.arn,
                "accessKeyId" => &mut out.access_key,
                "invokedBy" => &mut out.invoked_by,
                "credentialId" => &mut out.credential,
                "onBehalfOf" => &mut out.on_behalf_of,
                "inScopeOf" => &mut out.in_scope_of,
                "sessionContext" => {
                    out.session(member);
                    continue;
                }
                _ => continue,
            };
            if nested != container {
                return Err(Refusal::WrongType {
                    field: format!("userIdentity.{name}"),
                    found: member.kind().words(),
                    expected: if nested { "an object" } else { "text" },
                });
            }
            *slot = Some(member);
        }
        Ok(out)
    }

    fn session(&mut self, context: Value<'a>) {
        for member in context.children() {
            match &*member.key() {
                "attributes" => {
                    self.mfa = member.member("mfaAuthenticated");
                    self.created = member.member("creationDate");
                }
                "sessionIssuer" => self.issuer = Some(member),
                "ec2RoleDelivery" => self.role_delivery = Some(member),
                "webIdFederationData" => self.federation = Some(member),
                _ => {}
            }
        }
    }

    fn issued_by(&self, key: &str) -> Option<Value<'a>> {
        self.issuer.and_then(|issuer| issuer.member(key)).filter(|value| !value.is_empty())
    }

    /// `user.*` and `group.*`: the caller, whom an IAM call is about, what it changes, and whose
    /// rights a taken role gives. A role session is named after its role.
    pub(super) fn write_user(&self, out: &mut EcsWriter, record: &Record<'a>) {
        let request = record.get(Key::RequestParameters);
        let response = record.get(Key::ResponseElements);
        let asked = |key: &str| request.and_then(|request| request.member(key));
        let answered = |object: &str, key: &str| {
            response.and_then(|response| response.member(object)).and_then(|object| object.member(key))
        };

        out.begin("user");
        out.scalar("name", "user.name", self.user_name.or_else(|| self.issued_by("userName")));
        out.scalar("id", "user.id", self.principal);
        out.begin("target");
        out.scalar("name", "user.target.name", asked("userName"));
        out.scalar("id", "user.target.id", answered("user", "userId"));
        out.end();
        out.begin("changes");
        out.scalar("name", "user.changes.name", asked("newUserName"));
        out.end();
        if let Some(id) = answered("assumedRoleUser", "assumedRoleId") {
            out.begin("effective");
            out.scalar("id", "user.effective.id", Some(id));
            let role = asked("roleArn").and_then(|arn| arn.as_str());
            let name = role.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
            out.text("name", "user.effective.name", name);
            out.end();
        }
        out.end();

        // Other services call security groups and the like `groupName`.
        if record.get(Key::EventSource).is_some_and(|source| source.raw() == "iam.amazonaws.com") {
            out.begin("group");
            out.scalar("name", "group.name", asked("groupName"));
            out.scalar("id", "group.id", answered("group", "groupId"));
            out.end();
        }
    }

    /// `aws.cloudtrail.user_identity.*`.
    pub(super) fn write(&self, out: &mut EcsWriter) {
        out.begin("user_identity");
        out.scalar("type", "aws.cloudtrail.user_identity.type", self.kind);
        out.scalar("arn", "aws.cloudtrail.user_identity.arn", self.arn);
        out.scalar("access_key_id", "aws.cloudtrail.user_identity.access_key_id", self.access_key);
        out.scalar("invoked_by", "aws.cloudtrail.user_identity.invoked_by", self.invoked_by);
        out.scalar("credential_id", "aws.cloudtrail.user_identity.credential_id", self.credential);
        if let Some(user) = self.on_behalf_of {
            out.begin("on_behalf_of");
            for (member, key, path) in [
                ("userId", "user_id", "aws.cloudtrail.user_identity.on_behalf_of.user_id"),
                (
                    "identityStoreArn",
                    "identity_store_arn",
                    "aws.cloudtrail.user_identity.on_behalf_of.identity_store_arn",
                ),
            ] {
                out.scalar(key, path, user.member(member));
            }
            out.end();
        }
        if let Some(scope) = self.in_scope_of {
            out.begin("in_scope_of");
            for (member, key, path) in [
                ("sourceArn", "source_arn", "aws.cloudtrail.user_identity.in_scope_of.source_arn"),
                (
                    "sourceAccount",
                    "source_account",
                    "aws.cloudtrail.user_identity.in_scope_of.source_account",
                ),
                ("issuerType", "issuer_type", "aws.cloudtrail.user_identity.in_scope_of.issuer_type"),
                (
                    "credentialsIssuedTo",
                    "credentials_issued_to",
                    "aws.cloudtrail.user_identity.in_scope_of.credentials_issued_to",
                ),
            ] {
                out.scalar(key, path, scope.member(member));
            }
            out.end();
        }
        self.write_session(out);
        out.end();
    }

    fn write_session(&self, out: &mut EcsWriter) {
        out.begin("session_context");
        out.scalar(
            "mfa_authenticated",
            "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
            self.mfa,
        );
        if let Some(text) = self.created.and_then(|value| value.scalar()) {
            // A date that cannot be read is kept as it is: the mapping will not find it, a person can.
            let date = time::millis(&text).map_or(text, Cow::Owned);
            out.text("creation_date", "aws.cloudtrail.user_identity.session_context.creation_date", &date);
        }
        out.scalar(
            "ec2_role_delivery",
            "aws.cloudtrail.user_identity.session_context.ec2_role_delivery",
            self.role_delivery,
        );
        if let Some(federation) = self.federation {
            out.begin("web_id_federation_data");
            out.scalar(
                "federated_provider",
                "aws.cloudtrail.user_identity.session_context.web_id_federation_data.federated_provider",
                federation.member("federatedProvider"),
            );
            out.end();
        }
        out.begin("session_issuer");
        for (member, key, path) in [
            ("type", "type", "aws.cloudtrail.user_identity.session_context.session_issuer.type"),
            (
                "principalId",
                "principal_id",
                "aws.cloudtrail.user_identity.session_context.session_issuer.principal_id",
            ),
            ("arn", "arn", "aws.cloudtrail.user_identity.session_context.session_issuer.arn"),
            (
                "accountId",
                "account_id",
                "aws.cloudtrail.user_identity.session_context.session_issuer.account_id",
            ),
        ] {
            out.scalar(key, path, self.issued_by(member));
        }
        out.end();
        out.end();
    }

    /// What identifies the caller, for `related.entity`.
    pub(super) fn entities(&self, entities: &mut Vec<Cow<'a, str>>) {
        for value in [self.arn, self.issued_by("arn"), self.principal, self.access_key] {
            if let Some(text) = value.filter(|value| !value.is_empty()).and_then(|value| value.scalar()) {
                entities.push(text);
            }
        }
    }
}
