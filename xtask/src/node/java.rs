//! Java, Maven, the launcher, and the script that runs a node.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::product::Product;
use crate::root;

/// Makes `run` in the product's folder; does nothing when it is there for the same sources.
pub(super) fn prepare(product: &Product) -> Result<PathBuf> {
    let folder = product.folder();
    let run = folder.join("run");
    let sources = sources(product)?;
    let mut stamp = pom(product);
    for source in &sources {
        stamp.push_str(&fs::read_to_string(source)?);
    }
    stamp.push_str(&format!("{:?}{:?}{:?}", product.plugins, product.options, product.settings));
    if run.is_file() && fs::read_to_string(folder.join("stamp")).is_ok_and(|old| old == stamp) {
        return Ok(run);
    }
    let home = java_home(product)?;
    println!("preparing {} {}", product.title, product.version);
    fs::create_dir_all(&folder)?;
    let lib = folder.join("lib");
    fetch(product, &folder, &lib)?;
    compile(&home, &folder, &lib, &sources)?;
    fs::copy(root().join("xtask/nodes/log4j2.properties"), folder.join("log4j2.properties"))?;
    fs::write(&run, script(product, &home, &folder)?)?;
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
    fs::write(folder.join("stamp"), stamp)?;
    Ok(run)
}

fn sources(product: &Product) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in product.sources {
        for entry in walkdir::WalkDir::new(root().join("xtask/nodes").join(folder)).sort_by_file_name() {
            let path = entry?.into_path();
            if path.extension().is_some_and(|extension| extension == "java") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn pom(product: &Product) -> String {
    let dependency = |package: &&str| {
        let mut parts = package.split(':');
        let mut part = || parts.next().unwrap_or_default();
        format!(
            "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>",
            part(),
            part(),
            part()
        )
    };
    let instead: String = product.instead.iter().map(dependency).collect();
    let wanted: String = product.packages.iter().map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>tocsin</groupId><artifactId>node-{}</artifactId><version>1</version>\n\
         <dependencyManagement><dependencies>{instead}</dependencies></dependencyManagement>\n\
         <dependencies>{wanted}</dependencies>\n</project>\n",
        product.name
    )
}

fn fetch(product: &Product, folder: &Path, lib: &Path) -> Result<()> {
    if !works("mvn") {
        install(&["maven"])?;
    }
    let pom = folder.join("pom.xml");
    fs::write(&pom, self::pom(product))?;
    if lib.exists() {
        fs::remove_dir_all(lib)?;
    }
    let done = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .status()
        .context("cannot start Maven")?;
    if !done.success() {
        bail!("Maven could not fetch the jars of {} {}", product.title, product.version);
    }
    Ok(())
}

fn compile(home: &Path, folder: &Path, lib: &Path, sources: &[PathBuf]) -> Result<()> {
    let classes = folder.join("classes");
    if classes.exists() {
        fs::remove_dir_all(&classes)?;
    }
    let compiled = Command::new(home.join("bin/javac"))
        .args(["-proc:none", "-nowarn", "-Xlint:none", "-cp"])
        .arg(format!("{}/*", lib.display()))
        .arg("-d")
        .arg(&classes)
        .args(sources)
        .output()
        .context("cannot start javac")?;
    if !compiled.status.success() {
        bail!("the launcher does not compile:\n{}", String::from_utf8_lossy(&compiled.stderr));
    }
    // Shared class data take jars alone.
    let packed = Command::new(home.join("bin/jar"))
        .arg("--create")
        .arg("--file")
        .arg(folder.join("launcher.jar"))
        .arg("-C")
        .arg(&classes)
        .arg(".")
        .status()
        .context("cannot start jar")?;
    if !packed.success() {
        bail!("the launcher cannot be packed");
    }
    fs::remove_dir_all(&classes)?;
    Ok(())
}

/// The script: `run PORT FOLDER [key=value …]`.
fn script(product: &Product, home: &Path, folder: &Path) -> Result<String> {
    let version = version(home).context("this Java does not tell its version")?;
    let mut options: Vec<String> = product.options.iter().map(|option| (*option).to_owned()).collect();
    options.push("-XX:+UseSerialGC".to_owned());
    options.push(format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.properties").display()));
    if version == 17 && product.name == "opensearch" {
        options.push("-Djava.security.manager=allow".to_owned());
    }
    if version >= 19 {
        options.push(format!("-XX:SharedArchiveFile={}", folder.join("classes.jsa").display()));
        for option in [
            "-XX:+AutoCreateSharedArchive",
            "-Xshare:auto",
            "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off",
            "--enable-native-access=ALL-UNNAMED",
        ] {
            options.push(option.to_owned());
        }
    }
    if version >= 23 {
        options.push("--sun-misc-unsafe-memory-access=allow".to_owned());
    }
    if product.main.starts_with("org.elasticsearch") {
        options.push(format!("-Des.nativelibs.path={}", native(folder)?.display()));
    }
    let quoted = |text: &String| format!("'{text}'");
    let options: Vec<String> = options.iter().map(quoted).collect();
    let mut settings: Vec<String> = [
        "cluster.name=tocsin",
        "network.host=127.0.0.1",
        "discovery.type=single-node",
        "cluster.routing.allocation.disk.threshold_enabled=false",
        // Garbage that waits to be collected is no reason to refuse a request.
        "indices.breaker.total.use_real_memory=false",
    ]
    .iter()
    .chain(product.settings)
    .map(|setting| (*setting).to_owned())
    .collect();
    settings.push(format!("plugins={}", product.plugins.join(",")));
    let settings: Vec<String> = settings.iter().map(quoted).collect();
    Ok(format!(
        "#!/bin/sh\n\
         # {title} {version} in the foreground: run PORT FOLDER [key=value ...]\n\
         set -e\n\
         port=$1 folder=$2\n\
         shift 2\n\
         mkdir -p \"$folder/config\" \"$folder/data\" \"$folder/logs\"\n\
         heap=${{NODE_HEAP:-512m}}\n\
         exec '{java}' -Xms\"$heap\" -Xmx\"$heap\" {options} -cp '{folder}/launcher.jar:{folder}/lib/*' {main} \\\n  \
         {settings} \"node.name=node-$port\" \"path.home=$folder\" \"path.data=$folder/data\" \"path.logs=$folder/logs\" \\\n  \
         \"http.port=$port\" \"transport.port=$((port + 1000))\" \"$@\"\n",
        title = product.title,
        version = product.version,
        java = home.join("bin/java").display(),
        options = options.join(" "),
        folder = folder.display(),
        main = product.main,
        settings = settings.join(" "),
    ))
}

/// A folder where Elasticsearch finds the system's zstd under the name it looks for.
fn native(folder: &Path) -> Result<PathBuf> {
    let native = folder.join("native");
    fs::create_dir_all(&native)?;
    for libraries in ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"] {
        let library = Path::new(libraries).join("libzstd.so.1");
        let link = native.join("libzstd.so");
        if library.is_file() && !link.exists() {
            symlink(library, link)?;
        }
    }
    Ok(native)
}

/// A JDK that the product runs on; installed where that is possible and none is there.
fn java_home(product: &Product) -> Result<PathBuf> {
    if let Some(home) = find_java(product.java) {
        return Ok(home);
    }
    let packages: &[&str] = match product.java.0 {
        17 => &["openjdk-17-jdk-headless"],
        _ => &["openjdk-21-jdk-headless", "openjdk-25-jdk-headless"],
    };
    for package in packages {
        if install(&[package]).is_ok()
            && let Some(home) = find_java(product.java)
        {
            return Ok(home);
        }
    }
    let (oldest, newest) = product.java;
    bail!(
        "{} {} needs a JDK from {oldest} to {newest}: set NODE_JAVA_HOME or install one",
        product.title,
        product.version
    )
}

fn find_java((oldest, newest): (u32, u32)) -> Option<PathBuf> {
    let named = ["NODE_JAVA_HOME", "JAVA_HOME"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    let mut installed: Vec<PathBuf> =
        fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    installed.sort();
    named.chain(installed).find(|home| {
        home.join("bin/javac").is_file()
            && version(home).is_some_and(|version| (oldest..=newest).contains(&version))
    })
}

/// The first number of its version.
fn version(home: &Path) -> Option<u32> {
    let shown = Command::new(home.join("bin/java")).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&shown.stderr).into_owned();
    let quoted = text.split('"').nth(1)?;
    quoted.split(['.', '-']).next()?.parse().ok()
}

fn works(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|shown| shown.status.success())
}

/// Installs Debian packages, where this may be done.
fn install(packages: &[&str]) -> Result<()> {
    if !works("apt-get") {
        bail!("{} must be installed", packages.join(", "));
    }
    println!("installing {}", packages.join(", "));
    for arguments in [
        vec!["update", "-q"],
        [vec!["install", "-y", "-q", "--no-install-recommends"], packages.to_vec()].concat(),
    ] {
        let done =
            Command::new("apt-get").args(&arguments).env("DEBIAN_FRONTEND", "noninteractive").status()?;
        if !done.success() {
            bail!("apt-get could not install {}", packages.join(", "));
        }
    }
    Ok(())
}
