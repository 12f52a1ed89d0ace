//! Deterministic rules and events for the benchmarks, in the mix that Elastic's AWS rules and a
//! real trail have: most rules aim at actions that never happen, a few are substrings only, some
//! sit on busy actions and refine; actions follow a Zipf curve, half of the request parameters
//! are unique.

use serde_json::{Value, json};

/// The `SplitMix64` generator.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub fn sample<T: Clone + Ord>(&mut self, items: &[T], n: usize) -> Vec<T> {
        let mut pool = items.to_vec();
        let mut out = Vec::new();
        for _ in 0..n.min(items.len()) {
            let at = self.below(pool.len());
            out.push(pool.swap_remove(at));
        }
        out.sort();
        out
    }
}

const SERVICES: [&str; 40] = [
    "kms",
    "sts",
    "ec2",
    "s3",
    "iam",
    "lambda",
    "logs",
    "monitoring",
    "dynamodb",
    "rds",
    "cloudtrail",
    "config",
    "secretsmanager",
    "ssm",
    "ecr",
    "ecs",
    "eks",
    "elasticloadbalancing",
    "autoscaling",
    "cloudformation",
    "sns",
    "sqs",
    "route53",
    "guardduty",
    "securityhub",
    "organizations",
    "signin",
    "sso",
    "glue",
    "athena",
    "redshift",
    "kinesis",
    "firehose",
    "events",
    "states",
    "apigateway",
    "cloudfront",
    "wafv2",
    "backup",
    "efs",
];
const READS: [&str; 5] = ["Describe", "List", "Get", "BatchGet", "Lookup"];
const WRITES: [&str; 8] = ["Create", "Put", "Update", "Attach", "Tag", "Start", "Register", "Set"];
const THINGS: [&str; 24] = [
    "Instances",
    "Volumes",
    "Keys",
    "Grants",
    "Policies",
    "Roles",
    "Users",
    "Buckets",
    "Objects",
    "Functions",
    "Tables",
    "Streams",
    "Clusters",
    "Services",
    "Tasks",
    "Images",
    "Secrets",
    "Parameters",
    "Alarms",
    "Rules",
    "Topics",
    "Queues",
    "Snapshots",
    "Endpoints",
];
const ABSENT: [&str; 10] =
    ["Delete", "Destroy", "Purge", "Disable", "Modify", "Associate", "Detach", "Stop", "Export", "Revoke"];
const NOUNS: [&str; 20] = [
    "Trail", "Detector", "Policy", "Role", "Key", "Bucket", "Snapshot", "Cluster", "Function", "Rule",
    "WebACL", "Domain", "Grant", "Provider", "Session", "Image", "Vpc", "Filter", "Stream", "Secret",
];
const AGENTS: [&str; 14] = [
    "kali",
    "parrot",
    "pacu",
    "trufflehog",
    "python-requests",
    "Rclone",
    "S3Browser",
    "curl/",
    "cyberduck",
    "aws-sdk-nodejs-evil",
    "ScoutSuite",
    "prowler",
    "CloudMapper",
    "masscan",
];
const PARAMETERS: [&str; 13] = [
    "0.0.0.0/0",
    "AdministratorAccess",
    "Principal\":\"*\"",
    "012345678912",
    "p4d.24xlarge",
    "valuesToAdd",
    "bypassPolicyLockoutSafetyCheck=true",
    "UserData.value",
    "terraform.tfstate.backup",
    "id_rsa",
    "passwordResetRequired=false",
    "publiclyAccessible=true",
    "0.0.0.0/1",
];
const PRINCIPALS: [&str; 9] = [
    "GitHubActions",
    "AWSReservedSSO_",
    "scanner",
    "cspm-scan",
    "backup",
    "deploy",
    "-ci",
    "sync",
    "terraform",
];

/// A kind of event with its share.
#[derive(Clone)]
pub struct Kind {
    pub service: &'static str,
    pub action: String,
    pub weight: f64,
}

/// 390 kinds, Zipf.
pub fn kinds() -> Vec<Kind> {
    let mut random = Random::new(7);
    let mut out: Vec<Kind> = Vec::new();
    while out.len() < 390 {
        let service = SERVICES[((random.unit() * random.unit()) * 40.0) as usize];
        let verb = if random.chance(0.7) { *random.pick(&READS) } else { *random.pick(&WRITES) };
        let action = format!("{verb}{}", random.pick(&THINGS));
        if out.iter().any(|k| k.service == service && k.action == action) {
            continue;
        }
        let weight = 900.0 / (out.len() as f64 + 1.0).powf(1.25);
        out.push(Kind { service, action, weight });
    }
    out
}

/// What a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Provider,
    Action,
    Outcome,
    Identity,
    Arn,
    Agent,
    Parameters,
}

impl Field {
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "event.provider",
            Self::Action => "event.action",
            Self::Outcome => "event.outcome",
            Self::Identity => "aws.cloudtrail.user_identity.type",
            Self::Arn => "aws.cloudtrail.user_identity.arn",
            Self::Agent => "user_agent.original",
            Self::Parameters => "aws.cloudtrail.request_parameters",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Equals,
    Contains,
    Starts,
}

/// One of some values.
pub struct Condition {
    pub relation: Relation,
    pub field: Field,
    pub values: Vec<String>,
}

/// A rule: all of these, none of those.
pub struct Rule {
    pub number: usize,
    pub all: Vec<Condition>,
    pub none: Vec<Condition>,
}

pub fn rules(count: usize, seed: u64) -> Vec<Rule> {
    let mut random = Random::new(seed ^ 0x5eed);
    let kinds = kinds();
    let texts = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let is = |relation, field, values| Condition { relation, field, values };
    (0..count)
        .map(|number| {
            let mut all = Vec::new();
            let mut none = Vec::new();
            let share = random.unit();
            if share < 0.08 {
                if random.chance(0.6) {
                    let n = 1 + random.below(4);
                    all.push(is(Relation::Contains, Field::Agent, texts(random.sample(&AGENTS, n))));
                } else {
                    let n = 1 + random.below(3);
                    all.push(is(Relation::Contains, Field::Parameters, texts(random.sample(&PARAMETERS, n))));
                }
                all.push(is(Relation::Equals, Field::Outcome, vec!["success".to_owned()]));
            } else {
                let mut hot = false;
                let (service, mut actions) = if share < 0.60 {
                    let n = *random.pick(&[1usize, 1, 1, 2, 2, 3, 5]);
                    let suffixes = ["", "", "Attribute", "Configuration", "V2"];
                    let actions = (0..n)
                        .map(|_| {
                            let verb = random.pick(&ABSENT);
                            let noun = random.pick(&NOUNS);
                            format!("{verb}{noun}{}", random.pick(&suffixes))
                        })
                        .collect::<Vec<_>>();
                    (*random.pick(&SERVICES), actions)
                } else {
                    hot = random.chance(0.03);
                    let limit = if hot { 60.0 } else { 0.7 };
                    let pool: Vec<&Kind> = kinds.iter().filter(|k| k.weight < limit).collect();
                    let kind = *random.pick(&pool);
                    let same: Vec<String> = kinds
                        .iter()
                        .filter(|k| k.service == kind.service && k.weight < 0.7)
                        .map(|k| k.action.clone())
                        .collect();
                    let n = *random.pick(&[0usize, 0, 1, 2]);
                    let mut actions = random.sample(&same, n);
                    actions.push(kind.action.clone());
                    (kind.service, actions)
                };
                actions.sort();
                actions.dedup();
                all.push(is(Relation::Equals, Field::Provider, vec![format!("{service}.amazonaws.com")]));
                if random.chance(0.1) {
                    let first = actions.swap_remove(0);
                    let keep = first.len().saturating_sub(4).max(6).min(first.len());
                    all.push(is(Relation::Starts, Field::Action, vec![first.chars().take(keep).collect()]));
                } else {
                    all.push(is(Relation::Equals, Field::Action, actions));
                }
                if random.chance(0.85) {
                    let outcome = if random.chance(0.9) { "success" } else { "failure" };
                    all.push(is(Relation::Equals, Field::Outcome, vec![outcome.to_owned()]));
                }
                let refine = if hot { random.unit() * 0.18 } else { random.unit() };
                if refine < 0.18 {
                    let n = 1 + random.below(2);
                    all.push(is(Relation::Contains, Field::Parameters, texts(random.sample(&PARAMETERS, n))));
                } else if refine < 0.28 {
                    let kind = *random.pick(&["IAMUser", "AssumedRole", "Root"]);
                    all.push(is(Relation::Equals, Field::Identity, vec![kind.to_owned()]));
                } else if refine < 0.33 {
                    all.push(is(Relation::Contains, Field::Agent, texts(random.sample(&AGENTS, 2))));
                }
            }
            if random.chance(0.35) {
                none.push(is(Relation::Equals, Field::Identity, vec!["AWSService".to_owned()]));
            }
            if random.chance(0.25) {
                let n = 1 + random.below(3);
                none.push(is(Relation::Contains, Field::Arn, texts(random.sample(&PRINCIPALS, n))));
            }
            if random.chance(0.12) {
                none.push(is(Relation::Contains, Field::Agent, vec!["Terraform".to_owned()]));
            }
            Rule { number, all, none }
        })
        .collect()
}

impl Rule {
    /// The rule in KQL.
    pub fn kql(&self) -> String {
        let escape = |text: &str| {
            let mut out = String::new();
            for c in text.chars() {
                if "\\():<>\"*{} ".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            out
        };
        let one = |condition: &Condition| {
            let values: Vec<String> = condition
                .values
                .iter()
                .map(|value| match condition.relation {
                    Relation::Equals => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
                    Relation::Contains => format!("*{}*", escape(value)),
                    Relation::Starts => format!("{}*", escape(value)),
                })
                .collect();
            let values =
                if values.len() == 1 { values.join("") } else { format!("({})", values.join(" or ")) };
            format!("{}: {values}", condition.field.name())
        };
        let mut parts = vec!["data_stream.dataset: \"aws.cloudtrail\"".to_owned()];
        parts.extend(self.all.iter().map(one));
        parts.extend(self.none.iter().map(|condition| format!("not {}", one(condition))));
        parts.join(" and ")
    }

    /// The rule in Sigma, on the same fields.
    pub fn sigma(&self) -> String {
        let quote = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?");
            format!("'{}'", text.replace('\'', "''"))
        };
        let item = |condition: &Condition| {
            let modifier = match condition.relation {
                Relation::Equals => "",
                Relation::Contains => "|contains",
                Relation::Starts => "|startswith",
            };
            let mut values = String::new();
            for value in &condition.values {
                values.push_str("\n            - ");
                values.push_str(&quote(value));
            }
            format!("        {}{modifier}:{values}\n", condition.field.name())
        };
        let mut out = format!(
            "title: rule {0}\nid: 00000000-0000-4000-8000-{0:012}\nstatus: test\ndescription: generated\nlogsource:\n    \
             product: aws\n    service: cloudtrail\ndetection:\n    selection:\n        data_stream.dataset: 'aws.cloudtrail'\n",
            self.number
        );
        for condition in &self.all {
            out.push_str(&item(condition));
        }
        let mut condition = "selection".to_owned();
        for (number, none) in self.none.iter().enumerate() {
            out.push_str(&format!("    filter_{number}:\n{}", item(none)));
            condition.push_str(&format!(" and not filter_{number}"));
        }
        out.push_str(&format!("    condition: {condition}\nlevel: medium\n"));
        out
    }
}

/// Makes events one after another, in time order.
pub struct Events {
    random: Random,
    kinds: Vec<Kind>,
    reach: Vec<f64>,
    number: u64,
    start: i64,
    step: f64,
}

impl Events {
    /// `count` events spread evenly over `span` ms from `start` (ms since the epoch).
    pub fn new(seed: u64, start: i64, span: i64, count: usize) -> Self {
        let kinds = kinds();
        let mut sum = 0.0;
        let reach = kinds
            .iter()
            .map(|kind| {
                sum += kind.weight;
                sum
            })
            .collect();
        Self {
            random: Random::new(seed),
            kinds,
            reach,
            number: 0,
            start,
            step: span as f64 / count.max(1) as f64,
        }
    }

    /// The next event: its id and its ECS document.
    pub fn next(&mut self) -> (String, Value) {
        let r = &mut self.random;
        let at = self.start + (self.number as f64 * self.step) as i64;
        self.number += 1;
        let total = self.reach.last().copied().unwrap_or(1.0);
        let place = r.unit() * total;
        let kind = &self.kinds[self.reach.partition_point(|reach| *reach <= place).min(self.kinds.len() - 1)];
        let id = format!("{:016x}{:016x}", r.next(), r.next());
        let account = format!("{:012}", 100_000_000_001u64 + (r.unit() * r.unit() * 12.0) as u64 * 111_111);
        let region = *r.pick(&[
            "eu-west-1",
            "eu-central-1",
            "us-east-1",
            "us-east-1",
            "us-east-1",
            "us-west-2",
            "ap-southeast-2",
        ]);
        let who = r.unit();
        let hour = at / 3_600_000;
        let (identity, name, arn) = if who < 0.74 {
            let role = (r.unit() * r.unit() * 420.0) as usize;
            let flavour =
                ["app", "deploy", "scanner", "backup", "web", "etl", "api", "GitHubActions", "sync", "data"]
                    [role % 10];
            let name = format!("{flavour}-role-{role}");
            let session = format!("i-{:08x}", (role as u64 * 2_654_435_761 + hour as u64 % 24) as u32);
            let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
            ("AssumedRole", name, arn)
        } else if who < 0.93 {
            let user = (r.unit() * r.unit() * 260.0) as usize;
            let name = format!("{}-{user}", ["alice", "bob", "svc-ci", "carol", "terraform"][user % 5]);
            let arn = format!("arn:aws:iam::{account}:user/{name}");
            ("IAMUser", name, arn)
        } else if who < 0.99 {
            ("AWSService", "service".to_owned(), format!("arn:aws:iam::{account}:service/{}", kind.service))
        } else {
            ("Root", "root".to_owned(), format!("arn:aws:iam::{account}:root"))
        };
        let agent = match r.below(1000) {
            0..=1 => format!("{}/1.{}", r.pick(&AGENTS), r.below(5)),
            2..=300 => format!(
                "Boto3/1.{}.{} Python/3.{} Linux/5.10 Botocore/1.{}",
                20 + r.below(15),
                r.below(40),
                8 + r.below(4),
                20 + r.below(15)
            ),
            301..=500 => format!(
                "aws-sdk-go/1.{}.{} (go1.{}; linux; amd64)",
                40 + r.below(8),
                r.below(90),
                17 + r.below(5)
            ),
            501..=600 => format!(
                "APN/1.0 HashiCorp/1.0 Terraform/1.{}.{} (+https://www.terraform.io)",
                r.below(6),
                r.below(9)
            ),
            601..=800 => format!("{}.amazonaws.com", kind.service),
            801..=900 => "AWS Internal".to_owned(),
            _ => format!(
                "aws-cli/2.{}.{} Python/3.11 Linux/6.1 exe/x86_64 prompt/off command/{}.{}",
                r.below(15),
                r.below(30),
                kind.service,
                kind.action.to_lowercase()
            ),
        };
        let parameters = if r.chance(0.45) {
            format!(
                "{{maxResults={}, filterSet={{items=[{{name=tag:Name, valueSet={{items=[{{value=app-{}}}]}}}}]}}}}",
                r.below(5) * 50,
                r.below(120)
            )
        } else {
            let mut text = format!(
                "{{resourceArn=arn:aws:{}:{region}:{account}:resource/{:08x}-{:04x}, clientToken={:016x}, tagSet={{items=[{{key=team, value=team-{}}}, {{key=env, value={}}}]}}, description=created by automation for request {}",
                kind.service,
                r.next() as u32,
                r.next() as u16,
                r.next(),
                r.below(60),
                r.pick(&["prod", "stage", "dev"]),
                r.next() % 1_000_000
            );
            if r.chance(0.004) {
                text.push_str(&format!(", extra={}", r.pick(&PARAMETERS)));
            }
            text.push('}');
            text
        };
        let failed = r.chance(0.068);
        let ip = format!("{}.{}.{}.{}", 10 + r.below(3) * 40, r.below(8), r.below(40), 1 + r.below(250));
        let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
        let stamp = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let seen = (time + chrono::Duration::seconds(5)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let document = json!({
            "@timestamp": stamp,
            "data_stream": {"type": "logs", "dataset": "aws.cloudtrail", "namespace": "default"},
            "event": {
                "provider": format!("{}.amazonaws.com", kind.service), "action": kind.action,
                "outcome": if failed { "failure" } else { "success" }, "id": id, "kind": "event",
                "dataset": "aws.cloudtrail", "module": "aws", "category": ["configuration"], "type": ["info"],
                "created": stamp, "ingested": seen,
            },
            "cloud": {"provider": "aws", "account": {"id": account}, "region": region},
            "user": {"name": name, "id": format!("AROA{:012X}", r.below(1 << 20))},
            "source": {"ip": ip, "address": ip},
            "user_agent": {"original": agent},
            "aws": {"cloudtrail": {
                "event_version": "1.08", "event_type": "AwsApiCall", "event_category": "Management",
                "recipient_account_id": account, "read_only": kind.action.starts_with("Describe"),
                "request_id": format!("{:016x}", r.next()),
                "user_identity": {"type": identity, "arn": arn, "access_key_id": format!("ASIA{:012X}", r.below(1 << 24))},
                "request_parameters": parameters,
            }},
            "related": {"user": [name], "ip": [ip]},
            "tags": ["forwarded"],
        });
        (id, document)
    }
}
