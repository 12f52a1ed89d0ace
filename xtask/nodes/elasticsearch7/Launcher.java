import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.codelibs.elasticsearch.runner.node.ClusterRunnerNode;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.plugins.Plugin;

/**
 * Runs one Elasticsearch 7 node in this process until the process is asked to end.
 *
 * Each argument is a setting, {@code key=value}; {@code plugins=A,B} names the plugin classes,
 * which lie on the class path instead of in a folder of modules.
 */
public final class Launcher {
    public static void main(String[] arguments) throws Exception {
        var settings = Settings.builder();
        var plugins = new ArrayList<Class<? extends Plugin>>();
        for (var argument : arguments) {
            var pair = argument.split("=", 2);
            if (pair[0].equals("plugins")) {
                for (var name : pair[1].split(",")) {
                    plugins.add(Class.forName(name).asSubclass(Plugin.class));
                }
            } else {
                settings.put(pair[0], pair[1]);
            }
        }
        var given = settings.build();
        var config = Path.of(given.get("path.home"), "config");
        var node = new ClusterRunnerNode(
            InternalSettingsPreparer.prepareEnvironment(given, Map.of(), config, () -> given.get("node.name")), plugins);
        var ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
                node.awaitClose(15, TimeUnit.SECONDS);
            } catch (Exception error) {
                error.printStackTrace();
            }
            ended.countDown();
        }));
        node.start();
        ended.await();
    }
}
