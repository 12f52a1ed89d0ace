import java.nio.file.Path;
import java.util.Map;

import nodes.Given;
import org.codelibs.opensearch.runner.node.OpenSearchRunnerNode;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.plugins.Plugin;

/** Runs one OpenSearch node in this process until the process is asked to end. */
public final class Launcher {
    public static void main(String[] arguments) throws Exception {
        var given = new Given(arguments);
        var settings = Settings.builder();
        given.settings.forEach((key, value) -> settings.put(key, value));
        var config = Path.of(given.settings.get("path.home"), "config");
        var environment = InternalSettingsPreparer.prepareEnvironment(
            settings.build(), Map.of(), config, () -> given.settings.get("node.name"));
        var node = new OpenSearchRunnerNode(environment, given.plugins(Plugin.class));
        Given.run(node::start, node, node::awaitClose);
    }
}
