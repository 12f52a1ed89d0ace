//! A day at the office: deployments, monitoring, people at the console, an application at work.

use serde_json::json;

use super::actor::Actor;
use super::random::Random;
use super::{ACCOUNT, Call, Day};

const CLI: &str = "aws-cli/2.27.30 md/awscrt#0.26.1 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.13.3 md/prompt#off md/command#";
const BOTO: &str =
    "Boto3/1.38.30 md/Botocore#1.38.30 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.12.9";
const JAVA: &str = "aws-sdk-java/2.31.50 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.0 lang/java#21.0.7";
const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.12.1 (+https://www.terraform.io) terraform-provider-aws/5.99.1 aws-sdk-go-v2/1.36.3";
const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36";

const BUCKETS: [&str; 3] =
    ["amzn-s3-demo-shop-uploads", "amzn-s3-demo-shop-reports", "amzn-s3-demo-shop-assets"];
const FUNCTIONS: [&str; 3] = ["order-processor", "thumbnail-maker", "invoice-mailer"];

/// A second of the day, more likely in working hours.
fn second(random: &mut Random) -> u32 {
    if random.below(3) == 0 { random.below(86_400) } else { 7 * 3600 + random.below(11 * 3600) }
}

/// Adds a day's ordinary calls.
pub fn add(day: &mut Day) {
    application(day);
    monitoring(day);
    services(day);
    people(day);
    deployments(day);
}

/// The web shop: objects in and out, keys used, orders processed.
fn application(day: &mut Day) {
    let web: Vec<Actor> = (0..4)
        .map(|n| {
            Actor::role(
                "shop-web",
                &format!("i-0a1b2c3d4e5f6a7{n}0"),
                &format!("198.51.100.{}", 20 + n),
                JAVA,
            )
        })
        .collect();
    let worker = Actor::role("order-processor-role", "order-processor", "198.51.100.40", BOTO);
    for _ in 0..1_500 {
        let at = second(&mut day.random);
        let actor = day.random.pick(&web).clone();
        let bucket = *day.random.pick(&BUCKETS);
        let key = format!("{}/{}.json", day.random.below(40), day.random.hex(8));
        let request =
            json!({"bucketName": bucket, "Host": format!("{bucket}.s3.eu-west-1.amazonaws.com"), "key": key});
        let action = if day.random.below(12) == 0 { "PutObject" } else { "GetObject" };
        let mut call = Call::new(at, &actor, "s3", action, request).on_object(ACCOUNT, bucket, &key);
        if action == "GetObject" && day.random.below(25) == 0 {
            call = call.error("NoSuchKey", "The specified key does not exist.");
        }
        let bytes = day.random.below(90_000);
        call = call.with(
            "additionalEventData",
            json!({"SignatureVersion": "SigV4", "CipherSuite": "TLS_AES_128_GCM_SHA256", "bytesTransferredIn": 0, "AuthenticationMethod": "AuthHeader", "bytesTransferredOut": bytes}),
        );
        day.add(call);
    }
    for _ in 0..450 {
        let at = second(&mut day.random);
        let key = format!(
            "arn:aws:kms:eu-west-1:{ACCOUNT}:key/1a2b3c4d-0000-4000-8000-00000000000{}",
            day.random.below(4)
        );
        let request = json!({"encryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::{}", BUCKETS[0])}, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"});
        let call = Call::new(at, &worker, "kms", "Decrypt", request)
            .with("resources", json!([{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]));
        day.add(call);
    }
    // A worker tidies up after itself: single objects, never many at once.
    for _ in 0..24 {
        let at = second(&mut day.random);
        let key = format!("tmp/{}.part", day.random.hex(8));
        let request = json!({"bucketName": BUCKETS[0], "key": key});
        day.add(Call::new(at, &worker, "s3", "DeleteObject", request).on_object(ACCOUNT, BUCKETS[0], &key));
    }
}

/// Monitoring and inventory: the bulk of every trail.
fn monitoring(day: &mut Day) {
    let monitor = Actor::role("monitoring-readonly", "collector", "198.51.100.60", BOTO);
    let calls: [(&str, &str); 16] = [
        ("ec2", "DescribeInstances"),
        ("ec2", "DescribeVolumes"),
        ("ec2", "DescribeSecurityGroups"),
        ("ec2", "DescribeRouteTables"),
        ("rds", "DescribeDBInstances"),
        ("lambda", "ListFunctions20150331"),
        ("lambda", "GetFunction20150331v2"),
        ("s3", "ListBuckets"),
        ("s3", "GetBucketVersioning"),
        ("s3", "GetBucketAcl"),
        ("iam", "ListUsers"),
        ("iam", "GetAccountSummary"),
        ("cloudtrail", "DescribeTrails"),
        ("cloudtrail", "GetTrailStatus"),
        ("sts", "GetCallerIdentity"),
        ("elasticloadbalancing", "DescribeTargetHealth"),
    ];
    for step in 0..2_100u32 {
        let at = (step * 41 + day.random.below(30)) % 86_400;
        let (service, action) = *day.random.pick(&calls);
        let request = match action {
            "DescribeInstances" => json!({"maxResults": 1000, "instancesSet": {}, "filterSet": {}}),
            "GetFunction20150331v2" => json!({"functionName": *day.random.pick(&FUNCTIONS)}),
            "GetBucketVersioning" => json!({"bucketName": *day.random.pick(&BUCKETS), "versioning": ""}),
            "GetBucketAcl" => json!({"bucketName": *day.random.pick(&BUCKETS), "acl": ""}),
            "GetTrailStatus" => json!({"name": "company-trail"}),
            _ => serde_json::Value::Null,
        };
        let mut call = Call::new(at, &monitor, service, action, request);
        if day.random.below(60) == 0 {
            call = call.error("ThrottlingException", "Rate exceeded");
        }
        day.add(call);
    }
}

/// AWS services at work for the account.
fn services(day: &mut Day) {
    let trail = Actor::service("cloudtrail");
    let scaling = Actor::service("autoscaling");
    let gateway = Actor::service("apigateway");
    let ec2 = Actor::service("ec2");
    for step in 0..288u32 {
        let request = json!({"bucketName": "amzn-s3-demo-trail-archive", "acl": ""});
        day.add(Call::new(step * 300 + 11, &trail, "s3", "GetBucketAcl", request));
    }
    for step in 0..480u32 {
        let role = format!("arn:aws:iam::{ACCOUNT}:role/shop-web");
        let session = format!("i-0a1b2c3d4e5f6a7{}0", step % 4);
        let request = json!({"roleArn": role, "roleSessionName": session});
        let response = json!({"assumedRoleUser": {"assumedRoleId": format!("AROAEXAMPLEEXAMPLE00:{session}"), "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/shop-web/{session}")}});
        day.add(Call::new(step * 180 + 40, &ec2, "sts", "AssumeRole", request).response(response));
    }
    for _ in 0..14 {
        let at = second(&mut day.random);
        let instance = format!("i-0{}", day.random.hex(16));
        let request = json!({"instancesSet": {"items": [{"instanceId": instance}]}});
        day.add(Call::new(at, &scaling, "ec2", "TerminateInstances", request));
    }
    for _ in 0..700 {
        let at = second(&mut day.random);
        let function = *day.random.pick(&FUNCTIONS);
        let arn = format!("arn:aws:lambda:eu-west-1:{ACCOUNT}:function:{function}");
        let call = Call::new(at, &gateway, "lambda", "Invoke", json!({"functionName": arn}))
            .with("resources", json!([{"accountId": ACCOUNT, "type": "AWS::Lambda::Function", "ARN": arn}]))
            .with("managementEvent", json!(false))
            .with("eventCategory", json!("Data"));
        day.add(call);
    }
}

/// People: sign in with a second factor, look around, change little.
fn people(day: &mut Day) {
    for (n, name) in ["alice", "bob", "carol", "dave"].into_iter().enumerate() {
        let address = format!("192.0.2.{}", 10 + n);
        let user = Actor::user(name, &address, &format!("{CLI}ec2.describe-instances"));
        let start = 7 * 3600 + u32::try_from(n).unwrap_or(0) * 1_900 + day.random.below(600);
        if n == 2 {
            day.add(sign_in(start - 25, &user.signing_in(BROWSER), true, false));
        }
        day.add(sign_in(start, &user.signing_in(BROWSER), true, true));
        let session = user.in_console(true, BROWSER);
        for _ in 0..150 {
            let at = start + 60 + day.random.below(9 * 3600);
            let (service, action) = *day.random.pick(&[
                ("ec2", "DescribeInstances"),
                ("ec2", "DescribeVpcs"),
                ("s3", "ListBuckets"),
                ("s3", "GetBucketLocation"),
                ("cloudwatch", "DescribeAlarms"),
                ("logs", "DescribeLogGroups"),
                ("lambda", "ListFunctions20150331"),
                ("iam", "ListRoles"),
                ("iam", "GetUser"),
                ("health", "DescribeEventAggregates"),
                ("notifications", "ListNotificationHubs"),
            ]);
            let request = match action {
                "GetUser" => json!({"userName": name}),
                "GetBucketLocation" => json!({"bucketName": *day.random.pick(&BUCKETS), "location": ""}),
                _ => serde_json::Value::Null,
            };
            let actor = if day.random.below(4) == 0 { &user } else { &session };
            let mut call = Call::new(at, actor, service, action, request);
            if day.random.below(40) == 0 {
                call = call.denied();
            }
            day.add(call);
        }
    }
    // Somebody tries what is not theirs to do, and is refused: no alert is due.
    let dave = Actor::user("dave", "192.0.2.13", &format!("{CLI}cloudtrail.stop-logging"));
    let request = json!({"name": "company-trail"});
    day.add(Call::new(14 * 3600 + 1_312, &dave, "cloudtrail", "StopLogging", request).denied());
    let request = json!({"bucketName": BUCKETS[2], "bucketPolicy": {"Version": "2012-10-17", "Statement": []}, "policy": ""});
    day.add(
        Call::new(15 * 3600 + 87, &dave, "s3", "PutBucketPolicy", request)
            .error("MalformedPolicy", "Policies must have a statement"),
    );
}

/// A sign-in to the console.
pub fn sign_in<'a>(at: u32, actor: &'a Actor, mfa: bool, success: bool) -> Call<'a> {
    let data = json!({
        "LoginTo": "https://console.aws.amazon.com/console/home",
        "MobileVersion": "No",
        "MFAUsed": if mfa { "Yes" } else { "No" },
    });
    let result = if success { "Success" } else { "Failure" };
    let mut call = Call::new(at, actor, "signin", "ConsoleLogin", serde_json::Value::Null)
        .response(json!({"ConsoleLogin": result}))
        .with("additionalEventData", data)
        .with("eventType", json!("AwsConsoleSignIn"));
    if !success {
        call = call.with("errorMessage", json!("Failed authentication"));
    }
    call
}

/// The pipeline: infrastructure planned every hour, code deployed twice in working hours.
fn deployments(day: &mut Day) {
    let plan = Actor::role("ci-plan", "terraform", "198.51.100.80", TERRAFORM);
    for hour in 0..24u32 {
        for step in 0..30u32 {
            let (service, action) = *day.random.pick(&[
                ("iam", "GetRole"),
                ("iam", "ListRolePolicies"),
                ("iam", "ListAttachedRolePolicies"),
                ("s3", "GetBucketPolicy"),
                ("s3", "GetBucketVersioning"),
                ("s3", "GetBucketLogging"),
                ("lambda", "GetFunction20150331v2"),
                ("ec2", "DescribeVpcAttribute"),
                ("cloudtrail", "GetEventSelectors"),
            ]);
            let request = match service {
                "iam" => json!({"roleName": "shop-web"}),
                "s3" => json!({"bucketName": *day.random.pick(&BUCKETS)}),
                "lambda" => json!({"functionName": *day.random.pick(&FUNCTIONS)}),
                "cloudtrail" => json!({"trailName": "company-trail"}),
                _ => json!({"vpcId": "vpc-0123456789abcdef0", "attribute": "enableDnsSupport"}),
            };
            day.add(Call::new(hour * 3600 + 600 + step * 2, &plan, service, action, request));
        }
    }
}
