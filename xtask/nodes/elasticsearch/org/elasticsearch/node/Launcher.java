package org.elasticsearch.node;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.mapper.KeywordFieldMapper;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.plugins.GivenPlugins;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;

/**
 * Runs one Elasticsearch 8 or 9 node in this process until the process is asked to end. It lies in
 * this package because what builds a node is visible only there.
 *
 * Each argument is a setting, {@code key=value}; {@code plugins=A,B} names the plugin classes,
 * which lie on the class path instead of in a folder of modules.
 */
public final class Launcher {
    /**
     * The module of the type {@code wildcard} is not published: such fields become keyword fields.
     * Nothing about the type itself can be learned from this node.
     */
    public static final class WildcardAsKeyword extends Plugin implements MapperPlugin {
        @Override
        public Map<String, Mapper.TypeParser> getMappers() {
            return Map.of("wildcard", KeywordFieldMapper.PARSER);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var settings = Settings.builder();
        var plugins = new ArrayList<Class<? extends Plugin>>();
        plugins.add(WildcardAsKeyword.class);
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
        LogConfigurator.setNodeName(given.get("node.name"));
        LogConfigurator.configureESLogging();
        var config = Path.of(given.get("path.home"), "config");
        var environment =
            InternalSettingsPreparer.prepareEnvironment(given, Map.of(), config, () -> given.get("node.name"));
        var services = new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment environment, PluginsLoader none) {
                return new GivenPlugins(environment, plugins);
            }
        };
        var node = new Node(NodeConstruction.prepareConstruction(environment, GivenPlugins.none(), services, true));
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
