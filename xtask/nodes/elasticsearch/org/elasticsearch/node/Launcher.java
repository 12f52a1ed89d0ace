package org.elasticsearch.node;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Map;

import nodes.Given;
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
        var given = new Given(arguments);
        var plugins = new ArrayList<Class<? extends Plugin>>();
        plugins.add(WildcardAsKeyword.class);
        plugins.addAll(given.plugins(Plugin.class));
        var settings = Settings.builder();
        given.settings.forEach((key, value) -> settings.put(key, value));
        var name = given.settings.get("node.name");
        LogConfigurator.setNodeName(name);
        LogConfigurator.configureESLogging();
        var config = Path.of(given.settings.get("path.home"), "config");
        var environment =
            InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), config, () -> name);
        var services = new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment environment, PluginsLoader none) {
                return new GivenPlugins(environment, plugins);
            }
        };
        var node = new Node(NodeConstruction.prepareConstruction(environment, GivenPlugins.none(), services, true));
        Given.run(node::start, node, node::awaitClose);
    }
}
