package org.elasticsearch.plugins;

import java.io.ByteArrayInputStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.node.info.PluginsAndModules;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.spi.SPIClassIterator;

/** Plugins given by class. It lies in this package because loading a plugin is visible only there. */
public final class GivenPlugins extends PluginsService {
    private final List<LoadedPlugin> given = new ArrayList<>();

    /** Makes a plugin of each class, then lets those that can be extended find their extensions. */
    public GivenPlugins(Environment environment, List<Class<? extends Plugin>> classes) {
        super(environment.settings(), environment.configDir(), none());
        for (var one : classes) {
            var plugin = loadPlugin(one, environment.settings(), environment.configDir());
            given.add(new LoadedPlugin(descriptor(one), plugin, one.getClassLoader()));
        }
        for (var plugin : given) {
            if (plugin.instance() instanceof ExtensiblePlugin open) {
                open.loadExtensions(new ExtensiblePlugin.ExtensionLoader() {
                    @Override
                    public <T> List<T> loadExtensions(Class<T> kind) {
                        return providers(kind);
                    }
                });
            }
        }
    }

    /** A loader of no plugin. */
    public static PluginsLoader none() {
        return new PluginsLoader(Set.of(), Set.of(), Map.of());
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return given;
    }

    @Override
    public PluginsAndModules info() {
        var shown = given.stream().map(plugin -> new PluginRuntimeInfo(plugin.descriptor())).toList();
        return new PluginsAndModules(shown, List.of());
    }

    @Override
    public <T> List<? extends T> loadServiceProviders(Class<T> kind) {
        return providers(kind);
    }

    /** An instance of every class that META-INF/services names for {@code kind}. */
    private <T> List<T> providers(Class<T> kind) {
        var named = new LinkedHashSet<Class<? extends T>>();
        SPIClassIterator.get(kind, getClass().getClassLoader()).forEachRemaining(named::add);
        var made = new ArrayList<T>();
        for (var one : named) {
            for (var constructor : one.getConstructors()) {
                var arguments = arguments(constructor);
                if (arguments.isPresent()) {
                    try {
                        made.add(kind.cast(constructor.newInstance(arguments.get())));
                    } catch (ReflectiveOperationException error) {
                        throw new IllegalStateException(one.getName(), error);
                    }
                    break;
                }
            }
        }
        return made;
    }

    /** Nothing, or the one plugin that the constructor asks for. */
    private Optional<Object[]> arguments(Constructor<?> constructor) {
        var wanted = constructor.getParameterTypes();
        if (wanted.length == 0) {
            return Optional.of(new Object[0]);
        }
        return given.stream()
            .map(LoadedPlugin::instance)
            .filter(plugin -> wanted.length == 1 && wanted[0].isInstance(plugin))
            .findFirst()
            .map(plugin -> new Object[] {plugin});
    }

    private static PluginDescriptor descriptor(Class<?> plugin) {
        var text = String.join(
            "\n",
            "name=" + plugin.getSimpleName(),
            "classname=" + plugin.getName(),
            "description=" + plugin.getSimpleName(),
            "version=" + Build.current().version(),
            "elasticsearch.version=" + Build.current().version(),
            "java.version=" + Runtime.version().feature());
        try {
            return PluginDescriptor.readInternalDescriptorFromStream(
                new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
