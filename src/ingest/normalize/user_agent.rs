//! What a user agent says it is: clients of AWS APIs first, then browsers.
//!
//! A compact table of our own: the agents that call AWS are few and name themselves plainly.
//! Anything it does not know is `Other`, and the original text is always kept beside.

/// The parts of a user agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// Program or browser; `Other` when unknown.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Operating system.
    pub os_name: Option<String>,
    /// Version of the operating system.
    pub os_version: Option<String>,
    /// Kind of device: `Mac`, `iPhone`, `Other` …
    pub device: String,
}

/// Tokens (`token/version`) by which a client names itself, most telling first: a Terraform run
/// also carries the tokens of the SDK it is built on.
const CLIENTS: &[(&str, &str)] = &[
    ("Terraform/", "Terraform"),
    ("OpenTofu/", "OpenTofu"),
    ("Pulumi/", "Pulumi"),
    ("pulumi/", "Pulumi"),
    ("Ansible/", "Ansible"),
    ("S3Console/", "S3Console"),
    ("aws-cli/", "aws-cli"),
    ("AWSPowerShell/", "AWSPowerShell"),
    ("AWSPowerShell.Common/", "AWSPowerShell"),
    ("Boto3/", "Boto3"),
    ("Boto/", "Boto"),
    ("Botocore/", "Botocore"),
    ("aws-sdk-cpp/", "aws-sdk-cpp"),
    ("aws-sdk-dotnet-coreclr/", "aws-sdk-dotnet-core"),
    ("aws-sdk-dotnet-core/", "aws-sdk-dotnet-core"),
    ("aws-sdk-dotnet-45/", "aws-sdk-dotnet-45"),
    ("aws-sdk-dotnet-35/", "aws-sdk-dotnet-35"),
    ("aws-sdk-go-v2/", "aws-sdk-go-v2"),
    ("aws-sdk-go/", "aws-sdk-go"),
    ("aws-sdk-java/", "aws-sdk-java"),
    ("aws-sdk-js/", "aws-sdk-js"),
    ("aws-sdk-kotlin/", "aws-sdk-kotlin"),
    ("aws-sdk-nodejs/", "aws-sdk-nodejs"),
    ("aws-sdk-php/", "aws-sdk-php"),
    ("aws-sdk-ruby2/", "aws-sdk-ruby2"),
    ("aws-sdk-ruby3/", "aws-sdk-ruby3"),
    ("aws-sdk-rust/", "aws-sdk-rust"),
    ("aws-sdk-swift/", "aws-sdk-swift"),
    ("aws-sdk-ios/", "aws-sdk-ios"),
    ("s3fs/", "s3fs"),
    ("JetS3t/", "JetS3t"),
    ("rclone/", "rclone"),
    ("S3 Browser/", "S3 Browser"),
    ("Cyberduck/", "Cyberduck"),
    ("Go-http-client/", "Go-http-client"),
    ("python-requests/", "Python Requests"),
    ("Python-urllib/", "Python-urllib"),
    ("okhttp/", "okhttp"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("axios/", "axios"),
];

/// Tokens of browsers; a browser also carries those of what it descends from, so order matters.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("CriOS/", "Chrome Mobile iOS"),
    ("FxiOS/", "Firefox iOS"),
    ("HeadlessChrome/", "HeadlessChrome"),
    ("Chrome/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("Trident/", "IE"),
];

/// Reads a user agent.
pub fn parse(original: &str) -> UserAgent {
    let (name, version) = client(original).or_else(|| browser(original)).unwrap_or(("Other", None));
    let (os_name, os_version) = system(original);
    let device = device(original, os_name);
    UserAgent {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        os_name: os_name.map(str::to_owned),
        os_version: os_version.map(|v| v.replace('_', ".")),
        device: device.to_owned(),
    }
}

/// What follows `token` where it starts a word: `Bobcurl/` is not curl.
fn after_token<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    let at = text.find(token)?;
    let before = text.get(..at).and_then(|t| t.chars().next_back());
    if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return None;
    }
    text.get(at + token.len()..)
}

fn leading_version(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let version = text.get(..end).unwrap_or_default().trim_end_matches(['.', '_']);
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

fn client(text: &str) -> Option<(&'static str, Option<&str>)> {
    CLIENTS
        .iter()
        .find_map(|(token, name)| after_token(text, token).map(|rest| (*name, leading_version(rest))))
}

fn browser(text: &str) -> Option<(&'static str, Option<&str>)> {
    if !text.contains("Mozilla/") {
        return None;
    }
    let found = BROWSERS
        .iter()
        .find_map(|(token, name)| after_token(text, token).map(|rest| (*name, leading_version(rest))));
    found.or_else(|| {
        let version = leading_version(after_token(text, "Version/")?);
        if !text.contains("Safari/") {
            return None;
        }
        let name = if text.contains("Mobile/") { "Mobile Safari" } else { "Safari" };
        Some((name, version))
    })
}

fn system(text: &str) -> (Option<&'static str>, Option<&str>) {
    let after = |token: &str| {
        text.find(token).map(|at| leading_version(text.get(at + token.len()..).unwrap_or_default()))
    };
    if let Some(version) = after("Windows NT ") {
        // Windows names its kernel, not its product.
        let product = match version {
            Some("6.1") => Some("7"),
            Some("6.2") => Some("8"),
            Some("6.3") => Some("8.1"),
            other => other.map(|v| v.strip_suffix(".0").unwrap_or(v)),
        };
        return (Some("Windows"), product);
    }
    for (token, name) in [
        ("Windows/", "Windows"),
        ("os/windows#", "Windows"),
        ("CPU iPhone OS ", "iOS"),
        ("CPU OS ", "iOS"),
        ("Android ", "Android"),
        ("Mac OS X ", "Mac OS X"),
        ("os/macos#", "Mac OS X"),
        ("Darwin/", "Mac OS X"),
        ("CrOS ", "Chrome OS"),
    ] {
        if let Some(version) = after(token) {
            // Darwin and `os/macos#` give the kernel's version, which is not the system's.
            return (Some(name), if matches!(token, "Darwin/" | "os/macos#") { None } else { version });
        }
    }
    if text.contains("Ubuntu") {
        return (Some("Ubuntu"), None);
    }
    if text.contains("Windows") || text.contains("os/windows") {
        return (Some("Windows"), None);
    }
    if let Some(version) = after("Linux/").or_else(|| after("os/linux#")) {
        return (Some("Linux"), version);
    }
    if text.contains("Linux") || text.contains("linux") {
        return (Some("Linux"), None);
    }
    (None, None)
}

fn device(text: &str, os: Option<&str>) -> &'static str {
    if text.contains("iPhone") {
        "iPhone"
    } else if text.contains("iPad") {
        "iPad"
    } else if os == Some("Mac OS X") {
        "Mac"
    } else if os == Some("Android") {
        "Generic Smartphone"
    } else {
        "Other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(original: &str) -> String {
        let ua = parse(original);
        format!(
            "{} {} | {} {} | {}",
            ua.name,
            ua.version.as_deref().unwrap_or("-"),
            ua.os_name.as_deref().unwrap_or("-"),
            ua.os_version.as_deref().unwrap_or("-"),
            ua.device
        )
    }

    #[test]
    fn agents() {
        for (original, expected) in [
            (
                "aws-cli/2.13.1 Python/3.11.4 Linux/5.15.0 exe/x86_64.ubuntu.22 prompt/off command/s3.ls",
                "aws-cli 2.13.1 | Linux 5.15.0 | Other",
            ),
            ("Boto3/1.28.5 Python/3.10.12 Darwin/22.5.0 Botocore/1.31.5", "Boto3 1.28.5 | Mac OS X - | Mac"),
            (
                "APN/1.0 HashiCorp/1.0 Terraform/1.5.2 (+https://www.terraform.io) aws-sdk-go/1.44.299 (go1.20; linux; amd64)",
                "Terraform 1.5.2 | Linux - | Other",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
                "Chrome 119.0.0.0 | Windows 10 | Other",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 Edg/119.0.2151.58",
                "Edge 119.0.2151.58 | Windows 10 | Other",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
                "Safari 17.1 | Mac OS X 10.15.7 | Mac",
            ),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0",
                "Firefox 119.0 | Ubuntu - | Other",
            ),
            ("console.amazonaws.com", "Other - | - - | Other"),
            ("AWS Internal", "Other - | - - | Other"),
            ("", "Other - | - - | Other"),
        ] {
            assert_eq!(short(original), expected, "{original}");
        }
    }
}
