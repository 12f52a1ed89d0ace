//! The compose file: nothing open, nothing unpinned, no password by default.

use std::path::Path;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn images_are_pinned_ports_are_on_loopback_and_secrets_are_required() {
    let compose = read("docker-compose.yml");
    let (mut images, mut ports, mut secrets) = (0, 0, 0);
    for line in compose.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(image) = line.strip_prefix("image: ") {
            let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("not pinned: {image}"));
            assert!(tag == "local" || tag.split('.').count() == 3, "not pinned: {image}");
            images += 1;
        }
        if let Some(port) = line.strip_prefix("- \"").filter(|rest| rest.contains("}:")) {
            assert!(port.starts_with("127.0.0.1:"), "open to the network: {port}");
            ports += 1;
        }
        for variable in line.split("${").skip(1) {
            let name = variable.split([':', '}', '-']).next().unwrap();
            if name.ends_with("_PASSWORD") || name.ends_with("_KEY") {
                assert!(variable.starts_with(&format!("{name}:?")), "has a default, or may be empty: {line}");
                secrets += 1;
            }
        }
    }
    assert!(images >= 6 && ports >= 4 && secrets >= 8, "{images} {ports} {secrets}");
}

#[test]
fn every_variable_that_is_required_is_written_by_the_script() {
    let (compose, script) = (read("docker-compose.yml"), read("docker/init.sh"));
    for variable in compose.split("${").skip(1).filter_map(|rest| rest.split_once(":?")) {
        assert!(script.contains(variable.0), "docker/init.sh does not write {}", variable.0);
    }
    for file in ["docker/smoke.sh", "docker/init.sh"] {
        assert!(read("README.md").contains(file), "the README does not name {file}");
    }
}
