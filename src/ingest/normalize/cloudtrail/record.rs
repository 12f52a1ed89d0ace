//! The members of a CloudTrail record, found in one walk over it.

use super::super::Refusal;
use crate::ingest::tape::{Kind, Value};

/// What a member has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    Object,
    List,
    Any,
}

macro_rules! keys {
    ($($variant:ident $text:literal $shape:ident,)*) => {
        /// A member of a record that the normaliser reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key { $(#[doc = $text] $variant,)* }

        const COUNT: usize = [$($text),*].len();

        fn known(name: &str) -> Option<(Key, Shape)> {
            match name {
                $($text => Some((Key::$variant, Shape::$shape)),)*
                _ => None,
            }
        }
    };
}

keys! {
    EventVersion "eventVersion" Scalar,
    UserIdentity "userIdentity" Object,
    EventTime "eventTime" Scalar,
    EventSource "eventSource" Scalar,
    EventName "eventName" Scalar,
    AwsRegion "awsRegion" Scalar,
    SourceIpAddress "sourceIPAddress" Scalar,
    UserAgent "userAgent" Scalar,
    ErrorCode "errorCode" Scalar,
    ErrorMessage "errorMessage" Scalar,
    RequestParameters "requestParameters" Any,
    ResponseElements "responseElements" Any,
    AdditionalEventData "additionalEventData" Any,
    ServiceEventDetails "serviceEventDetails" Any,
    RequestId "requestID" Scalar,
    EventId "eventID" Scalar,
    EventType "eventType" Scalar,
    ApiVersion "apiVersion" Scalar,
    ManagementEvent "managementEvent" Scalar,
    ReadOnly "readOnly" Scalar,
    Resources "resources" List,
    RecipientAccountId "recipientAccountId" Scalar,
    SharedEventId "sharedEventID" Scalar,
    VpcEndpointId "vpcEndpointId" Scalar,
    VpcEndpointAccountId "vpcEndpointAccountId" Scalar,
    EventCategory "eventCategory" Scalar,
    SessionCredentialFromConsole "sessionCredentialFromConsole" Scalar,
    TlsDetails "tlsDetails" Object,
    InsightDetails "insightDetails" Object,
    AtTimestamp "@timestamp" Scalar,
    AwsAccountId "awsAccountId" Scalar,
    DigestStartTime "digestStartTime" Scalar,
    DigestEndTime "digestEndTime" Scalar,
    DigestS3Bucket "digestS3Bucket" Scalar,
    DigestS3Object "digestS3Object" Scalar,
    DigestPublicKeyFingerprint "digestPublicKeyFingerprint" Scalar,
    DigestSignatureAlgorithm "digestSignatureAlgorithm" Scalar,
    NewestEventTime "newestEventTime" Scalar,
    OldestEventTime "oldestEventTime" Scalar,
    PreviousDigestS3Bucket "previousDigestS3Bucket" Scalar,
    PreviousDigestS3Object "previousDigestS3Object" Scalar,
    PreviousDigestHashValue "previousDigestHashValue" Scalar,
    PreviousDigestHashAlgorithm "previousDigestHashAlgorithm" Scalar,
    PreviousDigestSignature "previousDigestSignature" Scalar,
    LogFiles "logFiles" List,
}

/// A record with its members found.
#[derive(Debug)]
pub(super) struct Record<'a> {
    root: Value<'a>,
    /// Position of each member on the tape; 0, the record itself, stands for "not there".
    at: [usize; COUNT],
}

impl<'a> Record<'a> {
    /// Finds the members and checks their shapes.
    pub(super) fn read(root: Value<'a>) -> Result<Self, Refusal> {
        if root.kind() != Kind::Object {
            return Err(Refusal::NotAnObject("the record"));
        }
        let mut at = [0; COUNT];
        for member in root.children() {
            let name = member.key();
            let Some((key, shape)) = known(&name) else { continue };
            if member.is_empty() {
                continue;
            }
            check(&name, member, shape)?;
            if let Some(slot) = at.get_mut(key as usize) {
                *slot = member.index();
            }
        }
        Ok(Self { root, at })
    }

    /// A member that is there and not empty.
    pub(super) fn get(&self, key: Key) -> Option<Value<'a>> {
        match self.at.get(key as usize) {
            Some(&index) if index > 0 => Some(self.root.at(index)),
            _ => None,
        }
    }

    /// The record itself.
    pub(super) fn root(&self) -> Value<'a> {
        self.root
    }
}

fn check(name: &str, member: Value<'_>, shape: Shape) -> Result<(), Refusal> {
    let kind = member.kind();
    let (fits, expected) = match shape {
        Shape::Any => (true, ""),
        Shape::Scalar => (!matches!(kind, Kind::Array | Kind::Object), "text"),
        Shape::Object => (kind == Kind::Object, "an object"),
        Shape::List => (kind == Kind::Array, "a list"),
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::WrongType { field: name.to_owned(), found: kind.words(), expected })
}
