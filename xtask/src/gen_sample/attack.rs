//! The night's attack. `assets/sample-day/README.md` tells it; keep the two together.

use serde_json::{Value, json};

use super::actor::Actor;
use super::noise::sign_in;
use super::{ACCOUNT, Call, Day, FOREIGN_ACCOUNT, REGION};

const ADDRESS: &str = "203.0.113.66";
const CLI: &str =
    "aws-cli/2.9.19 Python/3.11.2 Linux/6.1.0-kali9-amd64 source/x86_64.kali.2023 prompt/off command/";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

const EXPORTS: &str = "amzn-s3-demo-customer-exports";
const BACKUPS: &str = "amzn-s3-demo-nightly-backups";
/// The attacker's own bucket, in another account.
const LOOT: &str = "amzn-s3-demo-destination-bucket";
const TRAIL: &str = "company-trail";

/// Seconds since midnight.
fn at(hour: u32, minute: u32, second: u32) -> u32 {
    hour * 3600 + minute * 60 + second
}

/// Adds the attack.
pub fn add(day: &mut Day) {
    let leaked = Actor::user("build-agent", ADDRESS, &format!("{CLI}iam.list-users"));
    let implant = Actor::user("svc-backup-agent", ADDRESS, &format!("{CLI}s3.cp"));
    look_around(day, &leaked);
    settle(day, &leaked, &implant);
    let console = implant.in_console(false, BROWSER);
    blind_the_trail(day, &console);
    steal(day, &implant);
    destroy(day, &implant);
    poison_functions(day, &implant, &console);
    cover_tracks(day, &console);
}

/// 02:11: a leaked key of the build agent is tried out.
fn look_around(day: &mut Day, leaked: &Actor) {
    let calls: [(&str, &str, Value, bool); 10] = [
        ("sts", "GetCallerIdentity", Value::Null, true),
        ("iam", "ListUsers", Value::Null, true),
        ("iam", "ListRoles", Value::Null, true),
        ("iam", "GetAccountAuthorizationDetails", Value::Null, false),
        ("iam", "ListAttachedUserPolicies", json!({"userName": "build-agent"}), true),
        ("s3", "ListBuckets", Value::Null, true),
        ("secretsmanager", "ListSecrets", Value::Null, false),
        ("lambda", "ListFunctions20150331", Value::Null, true),
        ("cloudtrail", "DescribeTrails", Value::Null, true),
        ("cloudtrail", "GetEventSelectors", json!({"trailName": TRAIL}), true),
    ];
    for (step, (service, action, request, allowed)) in (0u32..).zip(calls) {
        let call = Call::new(at(2, 11, 4) + step * 19, leaked, service, action, request);
        day.add(if allowed { call } else { call.denied() });
    }
}

/// 02:24: a user that looks like a service gets a password, a key and all rights.
fn settle(day: &mut Day, leaked: &Actor, implant: &Actor) {
    let name = json!({"userName": "svc-backup-agent"});
    let user = json!({"user": {
        "path": "/", "userName": "svc-backup-agent", "userId": implant.identity["principalId"],
        "arn": implant.arn, "createDate": "Jun 17, 2026 2:24:10 AM",
    }});
    day.add(Call::new(at(2, 24, 10), leaked, "iam", "CreateUser", name.clone()).response(user));
    let policy =
        json!({"userName": "svc-backup-agent", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"});
    day.add(Call::new(at(2, 24, 31), leaked, "iam", "AttachUserPolicy", policy));
    let profile = json!({"loginProfile": {"userName": "svc-backup-agent", "createDate": "Jun 17, 2026 2:24:55 AM", "passwordResetRequired": false}});
    let request = json!({"userName": "svc-backup-agent", "passwordResetRequired": false});
    day.add(Call::new(at(2, 24, 55), leaked, "iam", "CreateLoginProfile", request).response(profile));
    let key = json!({"accessKey": {"accessKeyId": implant.identity["accessKeyId"], "status": "Active", "userName": "svc-backup-agent", "createDate": "Jun 17, 2026 2:25:20 AM"}});
    day.add(Call::new(at(2, 25, 20), leaked, "iam", "CreateAccessKey", name).response(key));
    day.add(sign_in(at(2, 31, 40), &implant.signing_in(BROWSER), false, true));
}

/// 02:38: the trail stops recording data events and loses its other regions.
fn blind_the_trail(day: &mut Day, console: &Actor) {
    let arn = format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}");
    let selectors = json!([{"readWriteType": "WriteOnly", "includeManagementEvents": true, "dataResources": [], "excludeManagementEventSources": ["kms.amazonaws.com", "rdsdata.amazonaws.com"]}]);
    let request = json!({"trailName": TRAIL, "eventSelectors": selectors});
    let response = json!({"trailARN": arn, "eventSelectors": selectors});
    day.add(Call::new(at(2, 38, 12), console, "cloudtrail", "PutEventSelectors", request).response(response));
    let request = json!({"name": TRAIL, "isMultiRegionTrail": false, "includeGlobalServiceEvents": false, "enableLogFileValidation": false});
    let response = json!({"name": TRAIL, "trailARN": arn, "s3BucketName": "amzn-s3-demo-trail-archive", "isMultiRegionTrail": false, "includeGlobalServiceEvents": false, "logFileValidationEnabled": false, "isOrganizationTrail": false});
    day.add(Call::new(at(2, 41, 3), console, "cloudtrail", "UpdateTrail", request).response(response));
}

/// 02:46: customer exports are opened and copied into a bucket of another account.
fn steal(day: &mut Day, implant: &Actor) {
    let statement = json!({"Sid": "Partner", "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{FOREIGN_ACCOUNT}:root")}, "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [format!("arn:aws:s3:::{EXPORTS}"), format!("arn:aws:s3:::{EXPORTS}/*")]});
    let request = json!({"bucketName": EXPORTS, "Host": format!("{EXPORTS}.s3.{REGION}.amazonaws.com"), "bucketPolicy": {"Version": "2012-10-17", "Statement": [statement]}, "policy": ""});
    day.add(
        Call::new(at(2, 46, 20), implant, "s3", "PutBucketPolicy", request)
            .with("resources", bucket(EXPORTS)),
    );
    let grantee = |kind: &str, value: Value| json!({"Permission": kind, "Grantee": value});
    let public = json!({"xsi:type": "Group", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"});
    let acl = json!({"xmlns": "http://s3.amazonaws.com/doc/2006-03-01/", "AccessControlList": {"Grant": [grantee("READ", public)]}});
    let request = json!({"bucketName": EXPORTS, "AccessControlPolicy": acl, "acl": ""});
    day.add(
        Call::new(at(2, 47, 2), implant, "s3", "PutBucketAcl", request).with("resources", bucket(EXPORTS)),
    );
    for step in 0..64u32 {
        let key = format!("2026/{:02}/customers-{step:03}.csv.gz", 1 + step % 5);
        let target = format!("exports/{key}");
        let request = json!({"bucketName": LOOT, "Host": format!("{LOOT}.s3.{REGION}.amazonaws.com"), "x-amz-copy-source": format!("{EXPORTS}/{key}"), "key": target});
        // Both accounts get a record of such a call; this id is the same in the two.
        let shared = format!("{:08x}-7c1e-4d6a-9b2f-44aa9bc1{step:04x}", 0x6f3a_1d00 + step);
        day.add(
            Call::new(at(2, 50, 0) + step * 7, implant, "s3", "CopyObject", request)
                .on_object(FOREIGN_ACCOUNT, LOOT, &target)
                .with("sharedEventID", json!(shared)),
        );
    }
}

/// 03:02: versions are switched off, objects overwritten and deleted, the backups removed.
fn destroy(day: &mut Day, implant: &Actor) {
    for (second, name) in [(0, EXPORTS), (21, BACKUPS)] {
        let configuration =
            json!({"xmlns": "http://s3.amazonaws.com/doc/2006-03-01/", "Status": "Suspended"});
        let request = json!({"bucketName": name, "VersioningConfiguration": configuration, "versioning": ""});
        day.add(
            Call::new(at(3, 2, second), implant, "s3", "PutBucketVersioning", request)
                .with("resources", bucket(name)),
        );
    }
    for step in 0..40u32 {
        let key = format!("2026/{:02}/customers-{step:03}.csv.gz.locked", 1 + step % 5);
        let request = json!({"bucketName": EXPORTS, "Host": format!("{EXPORTS}.s3.{REGION}.amazonaws.com"), "key": key, "x-amz-server-side-encryption-customer-algorithm": "AES256"});
        day.add(
            Call::new(at(3, 5, 0) + step * 4, implant, "s3", "PutObject", request)
                .on_object(ACCOUNT, EXPORTS, &key),
        );
    }
    for step in 0..90u32 {
        let key = format!("db/2026-06-{:02}/part-{:02}.dump", 1 + step % 16, step / 16);
        let request = json!({"bucketName": BACKUPS, "Host": format!("{BACKUPS}.s3.{REGION}.amazonaws.com"), "key": key});
        day.add(
            Call::new(at(3, 9, 0) + step * 3, implant, "s3", "DeleteObject", request)
                .on_object(ACCOUNT, BACKUPS, &key),
        );
    }
    let request =
        json!({"bucketName": EXPORTS, "Host": format!("{EXPORTS}.s3.{REGION}.amazonaws.com"), "delete": ""});
    for step in 0..3u32 {
        day.add(
            Call::new(at(3, 14, 0) + step * 12, implant, "s3", "DeleteObjects", request.clone())
                .with("resources", json!([{"type": "AWS::S3::Object", "ARNPrefix": format!("arn:aws:s3:::{EXPORTS}/")}, {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": format!("arn:aws:s3:::{EXPORTS}")}]))
                .with("managementEvent", json!(false))
                .with("eventCategory", json!("Data")),
        );
    }
    let request = json!({"bucketName": BACKUPS, "Host": format!("{BACKUPS}.s3.{REGION}.amazonaws.com")});
    day.add(
        Call::new(at(3, 15, 30), implant, "s3", "DeleteBucket", request).with("resources", bucket(BACKUPS)),
    );
}

/// 03:19: one function gets new code and a new role, is tried out by hand, another is removed.
fn poison_functions(day: &mut Day, implant: &Actor, console: &Actor) {
    let arn = |name: &str| format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
    let request = json!({"functionName": "order-processor", "publish": true, "dryRun": false});
    let response = json!({"functionName": "order-processor", "functionArn": arn("order-processor"), "runtime": "python3.12", "role": format!("arn:aws:iam::{ACCOUNT}:role/order-processor-role"), "handler": "app.handler", "codeSize": 1_184_223, "codeSha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "version": "42", "lastModified": "2026-06-17T03:19:08.000+0000"});
    day.add(
        Call::new(at(3, 19, 8), implant, "lambda", "UpdateFunctionCode20150331v2", request)
            .response(response),
    );
    let request = json!({"functionName": "order-processor", "role": format!("arn:aws:iam::{ACCOUNT}:role/admin-automation"), "timeout": 900, "layers": [format!("arn:aws:lambda:{REGION}:{FOREIGN_ACCOUNT}:layer:telemetry:3")]});
    let response = json!({"functionName": "order-processor", "functionArn": arn("order-processor"), "role": format!("arn:aws:iam::{ACCOUNT}:role/admin-automation"), "timeout": 900, "revisionId": "00000000-0000-4000-8000-000000000001"});
    day.add(
        Call::new(at(3, 20, 15), implant, "lambda", "UpdateFunctionConfiguration20150331v2", request)
            .response(response),
    );
    for step in 0..2u32 {
        let request = json!({"functionName": arn("order-processor"), "invocationType": "RequestResponse", "logType": "Tail"});
        day.add(
            Call::new(at(3, 22, 0) + step * 40, implant, "lambda", "Invoke", request)
                .with("resources", json!([{"accountId": ACCOUNT, "type": "AWS::Lambda::Function", "ARN": arn("order-processor")}]))
                .with("managementEvent", json!(false))
                .with("eventCategory", json!("Data")),
        );
    }
    let request = json!({"functionName": "security-alert-forwarder"});
    day.add(Call::new(at(3, 26, 44), console, "lambda", "DeleteFunction20150331", request));
}

/// 03:31: the trail is stopped, then deleted. The organisation's own trail still records this.
fn cover_tracks(day: &mut Day, console: &Actor) {
    let arn = format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}");
    day.add(Call::new(at(3, 31, 17), console, "cloudtrail", "StopLogging", json!({"name": arn})));
    day.add(Call::new(at(3, 33, 2), console, "cloudtrail", "DeleteTrail", json!({"name": arn})));
}

fn bucket(name: &str) -> Value {
    json!([{"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": format!("arn:aws:s3:::{name}")}])
}
